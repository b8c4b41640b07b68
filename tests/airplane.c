/* Airplane mode for a whole process tree, native code included: preload this and every connect() that leaves the
 * machine fails as if there were no network, and is written down in $AIRPLANE_LOG. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int is_loopback(const struct sockaddr *address) {
    if (address->sa_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24) == 127;
    if (address->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
    return 1; /* sockets of this machine */
}

int connect(int fd, const struct sockaddr *address, socklen_t length) {
    static int (*real)(int, const struct sockaddr *, socklen_t);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "connect");
    if (is_loopback(address))
        return real(fd, address, length);
    const char *path = getenv("AIRPLANE_LOG");
    FILE *log = path ? fopen(path, "a") : NULL;
    if (log) {
        char name[INET6_ADDRSTRLEN] = "?";
        const void *host = address->sa_family == AF_INET ? (const void *)&((const struct sockaddr_in *)address)->sin_addr
                                                         : (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr;
        inet_ntop(address->sa_family, host, name, sizeof name);
        fprintf(log, "%s\n", name);
        fclose(log);
    }
    errno = ENETUNREACH;
    return -1;
}
