/* A datagram that several sends make: MSG_MORE for the one call, UDP_CORK until it is put off (udp(7)).
 * Called by sock/dgram_output.c, dgram.c, option.c; calls sock/dgram_output.c, buffer.c.
 *
 *     first send with MSG_MORE ──► [text] to there ◄── more sends, whatever address they name
 *                                    │
 *               send without, or UDP_CORK 0 ──► one datagram, or an error and nothing, as on Linux
 */
#include "dgram.h"
#include "../wire/udp.h"
#include "option.h"

#include <errno.h>
#include <linux/udp.h>
#include <stdlib.h>
#include <sys/socket.h>

struct gd_cork {
    struct gd_endpoint to;
    struct gd_wishes wishes;
    int flags;             /* MSG_DONTROUTE, MSG_CONFIRM of the first part */
    struct gd_buffer text; /* all parts but the last */
};

void gd_udp_cork_drop(struct gd_udp *udp)
{
    if (!udp->cork)
        return;
    gd_buffer_clear(&udp->sock.stack->pool, &udp->cork->text);
    free(udp->cork);
    udp->cork = NULL;
}

/* May it come to so many bytes (Linux's ip_append_data)? 0, -EMSGSIZE, or there is no way. */
static int check_length(struct gd_udp *udp, uint64_t len)
{
    struct gd_sock *sock = &udp->sock;
    const struct gd_addr *to = &udp->cork->to.addr;
    uint32_t most = GD_UDP_MAX + (gd_addr_is_v4(to) ? 0 : GD_UDP6_MORE);

    if (gd_udp_must_fit(udp, to)) {
        int rc = gd_dst_resolve(sock->stack, &sock->dst, to);

        if (rc < 0)
            return rc;
        most = gd_udp_mtu(udp, to) - gd_ip_header_len(to) - GD_UDP_HEADER;
    }
    return len > most ? -EMSGSIZE : 0;
}

static int keep(struct gd_udp *udp, const struct gd_gather *data)
{
    for (uint32_t i = 0; i < data->nparts; i++) {
        uint32_t len = (uint32_t)data->parts[i].len;

        if (gd_buffer_append(&udp->sock.stack->pool, &udp->cork->text, data->parts[i].base, len) < len)
            return -ENOBUFS;
    }
    return 0;
}

/* All of it with the last part. While the device takes no more it waits, and the last part with who sends it. */
static int64_t finish(struct gd_udp *udp, const struct gd_gather *last)
{
    struct gd_cork *cork = udp->cork;
    uint32_t before = cork->text.len;
    struct gd_iovec part = {malloc(before + last->len + 1), before + last->len};
    struct gd_gather all = {&part, 1, before + last->len};
    int64_t rc;

    if (!part.base)
        return -ENOBUFS;
    gd_buffer_read(&cork->text, 0, part.base, before);
    gd_gather_read(last, 0, (uint8_t *)part.base + before, last->len);
    rc = gd_udp_emit(udp, &all, &cork->to, cork->flags, &cork->wishes);
    free(part.base);
    return rc < 0 ? rc : (int64_t)last->len;
}

int64_t gd_udp_cork_append(struct gd_udp *udp, const struct gd_gather *data, bool more)
{
    int64_t rc = check_length(udp, (uint64_t)udp->cork->text.len + data->len);

    if (rc == 0)
        rc = more ? keep(udp, data) : finish(udp, data);
    if (rc == -EAGAIN)
        return rc;
    if (rc < 0 || !more)
        gd_udp_cork_drop(udp);
    return rc < 0 ? rc : (int64_t)data->len;
}

int64_t gd_udp_cork_begin(struct gd_udp *udp, const struct gd_gather *data, const struct gd_endpoint *to, int flags,
                          const struct gd_wishes *wishes)
{
    udp->cork = calloc(1, sizeof *udp->cork);
    if (!udp->cork)
        return -ENOMEM;
    udp->cork->to = *to;
    udp->cork->wishes = *wishes;
    udp->cork->flags = flags & (MSG_DONTROUTE | MSG_CONFIRM);
    return gd_udp_cork_append(udp, data, true);
}

/* Put off, it lets go of what waits; nobody is told if that fails, as on Linux. */
static int set_cork(struct gd_sock *sock, const struct gd_option *option, int value)
{
    static const struct gd_gather nothing = {NULL, 0, 0};
    struct gd_udp *udp = gd_udp_of(sock);

    gd_option_set_flag(sock, option, value);
    if (value != 0 || !udp->cork)
        return 0;
    if (gd_udp_cork_append(udp, &nothing, false) < 0)
        gd_count(&sock->stack->stats, GD_STAT_udp_drop_corked);
    gd_udp_cork_drop(udp);
    return 0;
}

const struct gd_option *gd_option_udp(size_t *count)
{
    static const struct gd_option table[] = {
        {IPPROTO_UDP, UDP_CORK, GD_DGRAM, set_cork, gd_option_get_flag, GD_AT(cork)},
    };

    *count = sizeof(table) / sizeof(table[0]);
    return table;
}
