/* A sensor board: waits for a sample of its sensor, steps the model, sends the sample as a frame. */
#include "board_model.h"
#include "memory_board.h"
#include "frames.h"

typedef char sample_fits_a_frame[4 * BOARD_INPUTS <= 255 ? 1 : -1];

board_output y;
board_state state;

int main(void)
{
    board_input x;
    board_reset(&state);
    for (uint16_t sequence = 0; board_read(x.x, BOARD_INPUTS); sequence++) {
        board_take(&state, &x, &y);
        begin_frame(sequence, 4 * BOARD_INPUTS);
        send_bytes(x.x, 4 * BOARD_INPUTS);
        end_frame();
    }
}
