/* Gives a model, or a detector, what is in samples.bin and writes results.bin: for each sample its output, what the call
 * returned, the SysTick ticks that it took, and how deep its stack went. With BOARD_SNAPSHOTS it goes on from resume.bin, if
 * there is one, and writes snapshot.bin at the end.
 */
#include "board_model.h"
#include "semihosting.h"

enum { DEEPEST = 0x4000 }; /* bytes below the stack that are looked at */

static const uint32_t pattern = 0xa5a5a5a5u;
static board_state state;

static volatile uint32_t *lowest(uint32_t top)
{
    extern uint32_t bss_end[];
    return (volatile uint32_t *)(top - (uint32_t)bss_end < DEEPEST ? (uint32_t)bss_end : top - DEEPEST);
}

static void paint(uint32_t top)
{
    for (volatile uint32_t *at = lowest(top); (uint32_t)at < top; at++)
        *at = pattern;
}

/* How many bytes below `top` were written to since. */
static uint32_t painted_over(uint32_t top)
{
    volatile uint32_t *at = lowest(top);
    while ((uint32_t)at < top && *at == pattern)
        at++;
    return top - (uint32_t)at;
}

int main(void)
{
    static board_input x;
    static board_output y;
    static struct { int32_t result; uint32_t ticks, stack; } found;
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
    while (transfer(READ, samples, &x, sizeof x) == 0) {
        uint32_t top;
        __asm__ volatile("mov %0, sp" : "=r"(top));
        paint(top);
        systick[2] = 0;
        uint32_t before = systick[2];
        found.result = board_take(&state, &x, &y);
        found.ticks = (before - systick[2]) & 0xffffffu;
        found.stack = painted_over(top);
        transfer(WRITE, results, &y, sizeof y);
        transfer(WRITE, results, &found, sizeof found);
    }
    call(CLOSE, &results);
#if defined(BOARD_SNAPSHOTS)
    board_save(&state, snapshot);
    uint32_t saved = open_file("snapshot.bin", 12, 5);
    transfer(WRITE, saved, snapshot, sizeof snapshot);
    call(CLOSE, &saved);
#endif
    end_machine();
}
