/*
 * An IPv4 or IPv6 address as octets: what listeners, throttles and per-network limits compare.
 * Pure; any process.
 */
#ifndef COMMON_NET_IP_ADDRESS_H
#define COMMON_NET_IP_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/slice.h"

enum ip_family { IP_NONE = 0, IP_V4 = 4, IP_V6 = 6 };

/* Fixed-width and without pointers: it may travel in an IPC record. Unused octets are zero, so
 * that two equal addresses are equal octet for octet. */
struct ip_address {
    uint8_t family;     /* enum ip_family */
    uint8_t octets[16]; /* network order; IPv4 in the first four */
};

enum { IP_ADDRESS_TEXT_SIZE = 46 }; /* the longest text and its NUL (INET6_ADDRSTRLEN) */

/* Dotted quad or RFC 4291 2.2 text, without scope, port or brackets. False, *address untouched,
 * for anything else. */
bool ip_address_parse(struct slice text, struct ip_address *address);

/* RFC 5952 text, NUL-terminated; "unknown" for IP_NONE. Returns `text`. */
const char *ip_address_format(const struct ip_address *address, char text[IP_ADDRESS_TEXT_SIZE]);

/* The address of a socket name. An IPv4-mapped IPv6 address (::ffff:a.b.c.d) becomes the IPv4 one.
 * Other families (a local socket) give IP_NONE and port 0. `port` may be NULL; host order. */
void ip_address_from_sockaddr(const struct sockaddr *name, struct ip_address *address,
                              uint16_t *port);

/* Fills `name` and returns its length for bind or connect; 0 for IP_NONE. */
socklen_t ip_address_to_sockaddr(const struct ip_address *address, uint16_t port,
                                 struct sockaddr_storage *name);

/* The network of the address: all bits after the prefix are zero. */
struct ip_address ip_address_network(const struct ip_address *address, unsigned ipv4_prefix_bits,
                                     unsigned ipv6_prefix_bits);

/* 127.0.0.0/8 or ::1. */
bool ip_address_is_loopback(const struct ip_address *address);

bool ip_address_equal(const struct ip_address *a, const struct ip_address *b);

#endif
