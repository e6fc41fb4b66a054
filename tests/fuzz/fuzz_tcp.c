/* Invariant: whatever segments reach a connection in any of TCP's states, nothing crashes, leaks or spins, memory and
 * tables stay within their caps, what the stack sends is well-formed, and another connection still works afterwards.
 * Called by libFuzzer or replay.c; calls attack.c.
 */
#include "scene.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    attack(scenes_tcp, scenes_tcp_count, data, size);
    return 0;
}
