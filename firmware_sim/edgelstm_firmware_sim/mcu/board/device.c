/* A sensor board: waits for a sample of its sensor, steps the model, sends the sample and its forecast as a frame.
 *
 * 0xA5 0x5A | length | sequence, 2 bytes | the sample as float32 | CRC-16 of all after the start, 2 bytes
 */
#include "board_model.h"

#define SENSOR ((const volatile float *)0x40000000)
#define UART (*(volatile uint32_t *)0x40001000)

void wait_for_sample(void);

typedef char sample_fits_a_frame[4 * BOARD_INPUTS <= 255 ? 1 : -1];

float y[BOARD_OUTPUTS];
board_state state;

/* Where the sensor's interrupt would end the sleep of the core; whoever runs the emulator stops here. */
__attribute__((noinline)) void wait_for_sample(void)
{
    __asm__ volatile("");
}

static uint16_t checksum;

static void send(uint8_t byte)
{
    UART = byte;
    checksum = (uint16_t)(checksum ^ (byte << 8));
    for (int bit = 0; bit < 8; bit++)
        checksum = (uint16_t)(checksum & 0x8000 ? checksum << 1 ^ 0x1021 : checksum << 1);
}

static void send_frame(uint16_t sequence, const float *x)
{
    send(0xa5);
    send(0x5a);
    checksum = 0xffff;
    send(4 * BOARD_INPUTS);
    send((uint8_t)sequence);
    send((uint8_t)(sequence >> 8));
    for (int n = 0; n < BOARD_INPUTS; n++) {
        union { float number; uint32_t bits; } value;
        value.number = x[n];
        for (int shift = 0; shift < 32; shift += 8)
            send((uint8_t)(value.bits >> shift));
    }
    uint16_t all = checksum;
    send((uint8_t)all);
    send((uint8_t)(all >> 8));
}

int main(void)
{
    float x[BOARD_INPUTS];
    board_reset(&state);
    for (uint16_t sequence = 0;; sequence++) {
        wait_for_sample();
        for (int n = 0; n < BOARD_INPUTS; n++)
            x[n] = SENSOR[n];
        board_step(&state, x, y);
        send_frame(sequence, x);
    }
}
