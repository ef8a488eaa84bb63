/* A sensor board that decides by itself: the detector judges every sample, and each frame says what it decided.
 *
 * A frame's payload: the sample, float32 | flags, updates, raised, 4 bytes | samples, 4 bytes | score, threshold, peak,
 * float64 | and while an alert is open, or with an event, for each channel expected, band, share, float32.
 * Every frame says where the alert stands, so that a lost one loses nothing that the next does not say again.
 */
#include "board_model.h"
#ifdef BOARD_QEMU
#include "qemu_board.h"
#else
#include "memory_board.h"
#endif
#include "frames.h"

enum { SCORED = 1, OPEN_NOW = 2, CRITICAL_NOW = 4, ADOPTED_LEVEL = 8, REASONS = 16 };
enum { WORDS = 32, SAVE_EVERY = 256 };

typedef char verdict_fits_a_frame[16 * BOARD_INPUTS + WORDS <= 255 ? 1 : -1];
typedef char snapshot_fits_the_store[BOARD_SNAPSHOT_BYTES <= STORE_BYTES ? 1 : -1];

board_state detector;
board_output y;

static void send_verdict(uint16_t sequence, const float *x, int scored)
{
    int why = detector.open || y.event != 0;
    int length = 4 * BOARD_INPUTS + WORDS + (why ? 12 * BOARD_INPUTS : 0);
    uint8_t flags = (uint8_t)((scored == 1 ? SCORED : 0) | (detector.open ? OPEN_NOW : 0) |
        (detector.severity ? CRITICAL_NOW : 0) | (detector.adopted == 1 ? ADOPTED_LEVEL : 0) | (why ? REASONS : 0));
    uint8_t updates = (uint8_t)detector.counters[BOARD_COUNT_UPDATED];
    uint16_t raised = (uint16_t)detector.counters[BOARD_COUNT_RAISED];
    uint32_t samples = (uint32_t)(detector.open || !detector.warm_left ? detector.open_samples : 0);
    begin_frame(sequence, length);
    send_bytes(x, 4 * BOARD_INPUTS);
    send(flags);
    send(updates);
    send_bytes(&raised, 2);
    send_bytes(&samples, 4);
    send_bytes(&y.score, 8);
    send_bytes(&y.threshold, 8);
    send_bytes(&detector.peak, 8);
    for (int n = 0; why && n < BOARD_INPUTS; n++) {
        send_float((float)y.reasons[n].expected);
        send_float((float)y.reasons[n].band);
        send_float((float)y.reasons[n].share);
    }
    end_frame();
}

/* Go on from the newer of the two snapshots that is whole, else begin anew; returns which to overwrite next. */
static int wake(void)
{
    int64_t first = board_load(&detector, STORE) == 0 ? detector.last_ns : -1;
    int64_t second = board_load(&detector, STORE + STORE_BYTES) == 0 ? detector.last_ns : -1;
    if (first < 0 && second < 0)
        board_reset(&detector);
    else if (first > second)
        board_load(&detector, STORE);
    return first > second;
}

int main(void)
{
    board_input x;
    board_open();
    int next = wake();
    uint32_t unsaved = 0;
    x.time_ns = detector.last_ns; /* a board without a clock: its time is that of its samples */
    for (uint16_t sequence = 0; board_read(x.x, BOARD_INPUTS); sequence++) {
        x.time_ns += BOARD_PERIOD_NS;
        int scored = board_take(&detector, &x, &y);
        if (y.event != 0 || ++unsaved >= SAVE_EVERY) { /* before anybody hears of it */
            board_save(&detector, STORE + next * STORE_BYTES);
            next = !next;
            unsaved = 0;
        }
        send_verdict(sequence, x.x, scored);
    }
}
