/* A board whose sensor, serial line and flash page for a snapshot are where the emulator has put them. */
#define SENSOR ((const volatile float *)0x40000000)
#define UART (*(volatile uint32_t *)0x40001000)
#define STORE ((uint8_t *)0x40010000)
#define STORE_BYTES 0x10000 /* of one of the two snapshots */

void wait_for_sample(void);

/* Where the sensor's interrupt would end the sleep of the core; whoever runs the emulator stops here. */
__attribute__((noinline)) void wait_for_sample(void)
{
    __asm__ volatile("");
}

static void board_open(void)
{
}

static int board_read(float *x, int count)
{
    wait_for_sample();
    for (int n = 0; n < count; n++)
        x[n] = SENSOR[n];
    return 1;
}

static void board_send(uint8_t byte)
{
    UART = byte;
}
