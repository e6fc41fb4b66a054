/* The rows of scenes_net.c that are about IPv6. Called by scenes_net.c; calls host.c. */
#ifndef FUZZ_SCENES_NET6_H
#define FUZZ_SCENES_NET6_H
#include "scene.h"

void set_sockets6(struct host *host);
void set_group6(struct host *host);
void set_autoconf(struct host *host);
void set_dad(struct host *host);
uint32_t write_echo_parts6(struct host *host, uint8_t *frame, uint8_t variant);
uint32_t write_udp6(struct host *host, uint8_t *frame, uint8_t variant);
uint32_t write_extensions(struct host *host, uint8_t *frame, uint8_t variant);
uint32_t write_nd(struct host *host, uint8_t *frame, uint8_t variant);
uint32_t write_ra(struct host *host, uint8_t *frame, uint8_t variant);
uint32_t write_mld(struct host *host, uint8_t *frame, uint8_t variant);
uint32_t write_fragment6(struct host *host, uint8_t *frame, uint8_t variant);
#endif
