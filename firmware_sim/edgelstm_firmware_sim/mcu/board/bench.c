/* Steps a model over samples that whoever runs the emulator puts into `x`; `finished` is where it looks at `y`. */
#include "board_model.h"

float x[BOARD_INPUTS], y[BOARD_OUTPUTS];
board_state state;
int result;

void finished(void);

__attribute__((noinline)) void finished(void)
{
    __asm__ volatile("");
}

int main(void)
{
    board_reset(&state);
    finished();
    for (;;) {
        result = board_step(&state, x, y);
        finished();
    }
}
