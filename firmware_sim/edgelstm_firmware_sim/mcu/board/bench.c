/* Gives a model, or a detector, what whoever runs the emulator puts into `x`; `finished` is where it looks at `y`.
 * With BOARD_SNAPSHOTS the state is also saved and taken up again.
 */
#include "board_model.h"

board_input x;
board_output y;
board_state state;
int result;
#if defined(BOARD_SNAPSHOTS)
enum { SAVE = 1, LOAD };
uint8_t snapshot[BOARD_SNAPSHOT_BYTES];
int action; /* SAVE, LOAD, else step */
#endif

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
#if defined(BOARD_SNAPSHOTS)
        if (action == SAVE)
            board_save(&state, snapshot);
        else if (action == LOAD)
            result = board_load(&state, snapshot);
        else
#endif
            result = board_take(&state, &x, &y);
        finished();
    }
}
