/* Selective acknowledgement, both ways (RFC 2018, RFC 2883). Called by tcp/ack.c, emit.c; calls tcp/flight.c, rack.c. */
#include "tcp.h"

/* The entries that [start, end), a part of block, touches and that lie in block as a whole. */
static void mark(struct gd_tcb *tcb, struct gd_range block, uint32_t start, uint32_t end, struct gd_acked *acked,
                 uint64_t now)
{
    struct gd_flight *flight = &tcb->flight;
    uint64_t at = gd_flight_search(flight, start);

    /* One that begins before start and reaches over it: the part before was in an older block. */
    if (at != flight->first && gd_seq_gt(gd_flight_at(flight, at - 1)->end, start) &&
        gd_seq_ge(gd_flight_at(flight, at - 1)->seq, block.start))
        at--;
    for (; at != gd_flight_end(flight); at++) {
        struct gd_sent *sent = gd_flight_at(flight, at);

        if (gd_seq_ge(sent->seq, end) || gd_seq_gt(sent->end, block.end))
            return;
        if (sent->fate == GD_SENT_SACKED)
            continue;
        acked->delivered += sent->end - sent->seq;
        gd_tcp_rack_delivered(tcb, sent, acked, now);
        gd_flight_sacked(flight, at);
    }
}

/* The parts of a block that the last ACK's blocks had not: an ACK costs what is new in it, not what it covers. */
static void mark_news(struct gd_tcb *tcb, struct gd_range block, uint32_t start, uint32_t end, int from,
                      struct gd_acked *acked, uint64_t now)
{
    for (int i = from; i < tcb->nseen; i++) {
        struct gd_range old = tcb->seen[i];

        if (gd_seq_ge(old.start, end) || gd_seq_le(old.end, start))
            continue;
        if (gd_seq_lt(start, old.start))
            mark_news(tcb, block, start, old.start, i + 1, acked, now);
        if (gd_seq_le(end, old.end))
            return;
        start = old.end;
    }
    mark(tcb, block, start, end, acked, now);
}

/* RFC 2883 4: the first block speaks of a duplicate if it lies below the ACK, or within the second. */
static bool is_dsack(const struct gd_tcp_header *header)
{
    const struct gd_range *first = &header->options.sacks[0], *second = &header->options.sacks[1];

    if (gd_seq_le(first->end, header->ack))
        return true;
    return header->options.nsacks > 1 && gd_seq_ge(first->start, second->start) && gd_seq_le(first->end, second->end);
}

/* Not empty, not below the ACK, not of what was never sent. */
static bool is_sane(const struct gd_tcb *tcb, const struct gd_range *block)
{
    return gd_seq_lt(block->start, block->end) && gd_seq_gt(block->start, tcb->snd_una) &&
           gd_seq_le(block->end, tcb->snd_nxt);
}

void gd_tcp_take_sacks(struct gd_tcb *tcb, const struct gd_segment *segment, struct gd_acked *acked, uint64_t now)
{
    const struct gd_tcp_options *options = &segment->header.options;
    struct gd_range blocks[GD_TCP_SACKS];
    int count = 0, first = 0;

    if (options->nsacks == 0) {
        tcb->nseen = 0;
        return;
    }
    if (is_dsack(&segment->header)) {
        acked->dsack = true;
        tcb->tally.dsacks++;
        first = 1;
    }
    for (int i = first; i < options->nsacks; i++) {
        if (!is_sane(tcb, &options->sacks[i]))
            continue;
        mark_news(tcb, options->sacks[i], options->sacks[i].start, options->sacks[i].end, 0, acked, now);
        blocks[count++] = options->sacks[i];
    }
    memcpy(tcb->seen, blocks, (size_t)count * sizeof(blocks[0]));
    tcb->nseen = count;
}

void gd_tcp_fill_sacks(struct gd_tcb *tcb, struct gd_tcp_options *options)
{
    int room = options->has_ts ? 3 : 4, count = 0;

    options->nsacks = 0;
    if (!tcb->sack_ok)
        return;
    if (tcb->dsack.start != tcb->dsack.end)
        options->sacks[count++] = tcb->dsack;
    tcb->dsack = (struct gd_range){0, 0};
    count += gd_islands_report(&tcb->islands, &options->sacks[count], room - count);
    options->nsacks = (uint8_t)count;
}
