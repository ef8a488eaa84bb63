/* watcher.c on a machine of qemu-system-arm. */
#define BOARD_QEMU
#include "watcher.c"
