/* Steps a model over samples.bin and writes results.bin, for each sample its outputs and the SysTick ticks that the
 * step took, and stack.bin, how deep the stack became, through the files of the machine that runs the emulator (Arm semihosting). With BOARD_SNAPSHOTS it goes on
 * from resume.bin, if there is one, and writes snapshot.bin at the end.
 */
#include "board_model.h"

enum { OPEN = 0x01, CLOSE = 0x02, WRITE = 0x05, READ = 0x06, EXIT = 0x20 };

static uint32_t call(uint32_t number, const void *arguments)
{
    register uint32_t r0 __asm__("r0") = number;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static uint32_t open_file(const char *name, uint32_t length, uint32_t mode)
{
    uint32_t arguments[3] = { (uint32_t)name, mode, length };
    return call(OPEN, arguments);
}

static uint32_t transfer(uint32_t number, uint32_t file, void *bytes, uint32_t count)
{
    uint32_t arguments[3] = { file, (uint32_t)bytes, count };
    return call(number, arguments); /* how many bytes were left */
}

static board_state state;

#define PAINT 0xa5a5a5a5u

extern uint32_t bss_end[];

int main(void)
{
    uint32_t *const here = __builtin_frame_address(0), *const top = here - 32; /* what main itself may still push */
    for (uint32_t *at = bss_end; at != top; at++)
        *(volatile uint32_t *)at = PAINT;
    static struct { float y[BOARD_OUTPUTS]; uint32_t ticks; } found;
    static float x[BOARD_INPUTS];
    volatile uint32_t *systick = (volatile uint32_t *)0xe000e010; /* control, reload, current */
    uint32_t samples = open_file("samples.bin", 11, 1), results = open_file("results.bin", 11, 5);
    systick[1] = 0xffffff;
    systick[0] = 5; /* on, at the processor's clock */
    board_reset(&state);
#if defined(BOARD_SNAPSHOTS)
    static uint8_t snapshot[BOARD_SNAPSHOT_BYTES];
    uint32_t resume = open_file("resume.bin", 10, 1);
    if (resume != 0xffffffffu && (transfer(READ, resume, snapshot, sizeof snapshot) || board_load(&state, snapshot)))
        return 1;
#endif
    while (transfer(READ, samples, x, sizeof x) == 0) {
        systick[2] = 0;
        uint32_t before = systick[2];
        int wrong = board_step(&state, x, found.y);
        found.ticks = wrong ? 0xffffffffu : (before - systick[2]) & 0xffffffu;
        transfer(WRITE, results, &found, sizeof found);
    }
    call(CLOSE, &results);
    uint32_t *lowest = bss_end;
    while (*lowest == PAINT)
        lowest++;
    uint32_t stack = (uint32_t)here - (uint32_t)lowest, deepest = open_file("stack.bin", 9, 5);
    transfer(WRITE, deepest, &stack, sizeof stack);
    call(CLOSE, &deepest);
#if defined(BOARD_SNAPSHOTS)
    board_save(&state, snapshot);
    uint32_t saved = open_file("snapshot.bin", 12, 5);
    transfer(WRITE, saved, snapshot, sizeof snapshot);
    call(CLOSE, &saved);
#endif
    uint32_t done[2] = { 0x20026, 0 };
    call(EXIT, done);
    for (;;)
        __asm__ volatile("");
}
