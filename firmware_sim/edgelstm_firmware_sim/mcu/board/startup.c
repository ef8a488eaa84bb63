/* From reset to main: stack, data, floating point. Everything else of the chip is left as it is. */
#include <stdint.h>

extern uint32_t stack_top[], data_load[], data_start[], data_end[], bss_end[];

int main(void);
void reset(void);
void faulted(void);

__attribute__((noinline)) void faulted(void)
{
    for (;;)
        __asm__ volatile("");
}

static void run(void)
{
    uint32_t *from = data_load;
    for (uint32_t *to = data_start; to != data_end; to++) {
        *to = *from++;
        __asm__ volatile("");
    }
    for (uint32_t *to = data_end; to != bss_end; to++) {
        *to = 0;
        __asm__ volatile("");
    }
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    *(volatile uint32_t *)0xe000ed88 |= 0xfu << 20; /* CPACR: full access to coprocessors 10 and 11 */
    __asm__ volatile("dsb\n isb");
#endif
    main();
    faulted();
}

#if defined(__riscv)
__attribute__((naked, section(".vectors"))) void reset(void)
{
    __asm__ volatile("la sp, stack_top\n j enter");
}
__attribute__((used)) void enter(void)
{
    run();
}
#else
void reset(void)
{
    run();
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stack_top, (const void *)reset, (const void *)faulted, (const void *)faulted, (const void *)faulted,
    (const void *)faulted, (const void *)faulted,
};
#endif
