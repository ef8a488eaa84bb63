/* The files of the machine that runs the emulator (Arm semihosting). */
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

/* Returns how many bytes were left. */
static uint32_t transfer(uint32_t number, uint32_t file, void *bytes, uint32_t count)
{
    uint32_t arguments[3] = { file, (uint32_t)bytes, count };
    return call(number, arguments);
}

static void end_machine(void)
{
    uint32_t done[2] = { 0x20026, 0 };
    call(EXIT, done);
    for (;;)
        __asm__ volatile("");
}
