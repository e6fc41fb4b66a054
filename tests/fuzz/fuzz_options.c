/* Invariant: TCP's header parser reads no byte beyond what it is given; what it makes of options, written and parsed
 * again, is the same; and the length that it foretells is the length that it writes.
 * Called by libFuzzer or replay.c; calls wire/tcp.c.
 */
#include "host.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const struct gd_tcp_options *a, const struct gd_tcp_options *b)
{
    return a->has_mss == b->has_mss && a->has_wscale == b->has_wscale && a->has_ts == b->has_ts &&
           a->sack_ok == b->sack_ok && a->nsacks == b->nsacks && a->mss == b->mss &&
           (!a->has_wscale || a->wscale == b->wscale) && a->tsval == b->tsval && a->tsecr == b->tsecr &&
           memcmp(a->sacks, b->sacks, a->nsacks * sizeof a->sacks[0]) == 0;
}

/* The options as the engine sends them: what does not fit with the rest is not there. */
static void check_round(const struct gd_tcp_header *parsed)
{
    struct gd_tcp_header first = *parsed, second;
    uint8_t *written;
    uint32_t room = GD_TCP_HEADER + gd_tcp_options_len(&first.options), len;

    if (room > GD_TCP_HEADER + GD_TCP_OPTIONS_MAX)
        return; /* options of 40 bytes need padding of ours that the sender did without */
    written = malloc(room);
    HOST_CHECK(written != NULL);
    len = gd_tcp_write(written, &first);
    HOST_CHECK(len == room && len == first.len);
    HOST_CHECK(gd_tcp_parse(written, len, &second) == 0);
    HOST_CHECK(second.len == len && second.seq == parsed->seq && second.ack == parsed->ack);
    HOST_CHECK(second.source == parsed->source && second.destination == parsed->destination);
    HOST_CHECK(second.window == parsed->window && second.flags == parsed->flags);
    HOST_CHECK(same(&parsed->options, &second.options));
    free(written);
}

static void check(const uint8_t *data, size_t size)
{
    struct gd_tcp_header header;
    uint8_t *exact = malloc(size);

    HOST_CHECK(exact != NULL);
    memcpy(exact, data, size);
    if (gd_tcp_parse(exact, (uint32_t)size, &header) == 0) {
        HOST_CHECK(header.len >= GD_TCP_HEADER && header.len <= size);
        HOST_CHECK(header.options.nsacks <= GD_TCP_SACKS && header.options.wscale <= 14);
        check_round(&header);
    }
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t header[GD_TCP_HEADER + GD_TCP_OPTIONS_MAX] = {0};

    check(data, size); /* as it is */
    if (size > GD_TCP_OPTIONS_MAX)
        return 0;
    memcpy(header + GD_TCP_HEADER, data, size); /* and as nothing but options */
    header[12] = (uint8_t)((GD_TCP_HEADER + (size + 3) / 4 * 4) / 4 << 4);
    check(header, GD_TCP_HEADER + (size + 3) / 4 * 4);
    return 0;
}
