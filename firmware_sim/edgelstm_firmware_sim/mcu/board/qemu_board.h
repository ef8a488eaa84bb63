/* A machine of qemu-system-arm: samples from samples.bin, the serial line its first CMSDK UART, flash that forgets. */
#include "semihosting.h"

#define UART ((volatile uint32_t *)BOARD_QEMU_UART) /* data, state, control, interrupt, divider */
#define STORE_BYTES 0x1000

static uint8_t STORE[2 * STORE_BYTES];
static uint32_t samples;

static void board_open(void)
{
    samples = open_file("samples.bin", 11, 1);
    UART[4] = 16;
    UART[2] = 1; /* transmit */
}

static int board_read(float *x, int count)
{
    if (transfer(READ, samples, x, 4 * (uint32_t)count) == 0)
        return 1;
    end_machine();
    return 0;
}

static void board_send(uint8_t byte)
{
    while (UART[1] & 1) { /* full */
    }
    UART[0] = byte;
}
