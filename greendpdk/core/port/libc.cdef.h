/* The C library as Python calls it where its own socket module would raise an audit event. Read by _build.py.
 * Called by _libc.py; calls nothing of ours. POSIX's declarations; the compiler fills in what "..." leaves out.
 */
struct sockaddr;
struct addrinfo {
    int ai_flags, ai_family, ai_socktype, ai_protocol;
    struct sockaddr *ai_addr;
    char *ai_canonname;
    struct addrinfo *ai_next;
    ...;
};
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res);
void freeaddrinfo(struct addrinfo *res);
const char *gai_strerror(int errcode);
int socket(int domain, int type, int protocol);
int bind(int sockfd, const struct sockaddr *addr, unsigned int addrlen);
int connect(int sockfd, const struct sockaddr *addr, unsigned int addrlen);
int getsockname(int sockfd, struct sockaddr *addr, unsigned int *addrlen);
