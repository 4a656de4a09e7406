/* The simulated provider of the benchmark: one thread, epoll, as little work per call as possible.
 *
 *   mock PORT            (0 picks a free port; "PORT n" is printed once it listens)
 *
 * What to answer stands in the request's body, so that it passes every proxy unchanged: "bench CHUNKS GAP_US THINK_US".
 * CHUNKS 0 is a plain JSON answer; else a stream of so many events, GAP_US apart (0: one write after the other).
 * THINK_US is waited first. Each event has the time it was sent in it, "@" and 19 digits of CLOCK_MONOTONIC in ns.
 * A request with `"include_usage":true` gets one event with usage before [DONE], as OpenAI does it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define IN_BYTES 65536
#define AWAKE_NS 1000000 /* it looks on for so long before it sleeps: waking a sleeper would be charged to whoever wrote to it */
#define MOST 16384

struct conn {
    int fd, chunks, left, usage, waiting;
    uint64_t due, gap;
    int place; /* in the heap, -1 when not */
    size_t in_len, out_len, out_at;
    char *in, *out;
};

static int poller, timer, heap_len;
static struct conn *heap[MOST];
static char plain[2048], stream_head[512];
static size_t plain_len, stream_head_len;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

static void put(int at, struct conn *c) {
    heap[at] = c;
    c->place = at;
}

static void sift(int at) {
    struct conn *c = heap[at];
    while (at > 0 && heap[(at - 1) / 2]->due > c->due) {
        put(at, heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (int child; (child = 2 * at + 1) < heap_len; at = child) {
        if (child + 1 < heap_len && heap[child + 1]->due < heap[child]->due) child++;
        if (heap[child]->due >= c->due) break;
        put(at, heap[child]);
    }
    put(at, c);
}

static void unplan(struct conn *c) {
    int at = c->place;
    if (at < 0) return;
    c->place = -1;
    if (at != --heap_len) {
        put(at, heap[heap_len]);
        sift(at);
    }
}

static void plan(struct conn *c, uint64_t due) {
    unplan(c);
    c->due = due;
    put(heap_len++, c);
    sift(c->place);
}

static void arm(void) {
    struct itimerspec when = {{0, 0}, {0, 0}};
    if (heap_len) {
        when.it_value.tv_sec = heap[0]->due / 1000000000u;
        when.it_value.tv_nsec = heap[0]->due % 1000000000u;
    }
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void drop(struct conn *c) {
    unplan(c);
    close(c->fd);
    free(c->in);
    free(c->out);
    free(c);
}

static void watch(struct conn *c) {
    struct epoll_event e = {.events = EPOLLIN | (c->out_len ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
}

/* Send, or keep what the socket does not take; -1 when the connection is gone. */
static int say(struct conn *c, const char *data, size_t len) {
    ssize_t sent = 0;
    if (!c->out_len) {
        sent = send(c->fd, data, len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return -1;
        if (sent < 0) sent = 0;
    }
    if ((size_t)sent == len) return 0;
    c->out = realloc(c->out, c->out_at + c->out_len + len);
    memcpy(c->out + c->out_at + c->out_len, data + sent, len - sent);
    c->out_len += len - sent;
    watch(c);
    return 0;
}

static size_t event(struct conn *c, char *to) {
    char data[512];
    const char *finish = c->left == 1 ? "\"stop\"" : "null";
    int len = sprintf(data,
        "data: {\"id\":\"chatcmpl-bench0123456789\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,"
        "\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" @%019llu\"},"
        "\"logprobs\":null,\"finish_reason\":%s}]}\n\n", (unsigned long long)now_ns(), finish);
    return sprintf(to, "%x\r\n%s\r\n", len, data);
}

static size_t ending(struct conn *c, char *to) {
    static const char usage[] =
        "data: {\"id\":\"chatcmpl-bench0123456789\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,"
        "\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[],"
        "\"usage\":{\"prompt_tokens\":21,\"completion_tokens\":64,\"total_tokens\":85}}\n\n";
    size_t len = c->usage ? sprintf(to, "%zx\r\n%s\r\n", sizeof usage - 1, usage) : 0;
    return len + sprintf(to + len, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
}

/* Go on with the answer as far as time and socket let; -1 when the connection is gone. */
static int answer(struct conn *c) {
    char text[1024];
    if (!c->chunks) {
        c->waiting = 0;
        return say(c, plain, plain_len);
    }
    if (c->left == c->chunks && say(c, stream_head, stream_head_len)) return -1;
    while (c->left && !c->out_len) {
        size_t len = event(c, text);
        c->left--;
        if (say(c, text, len)) return -1;
        if (c->gap && c->left) {
            plan(c, c->due + c->gap);
            return 0;
        }
    }
    if (c->left || !c->waiting) return 0;
    c->waiting = 0;
    return say(c, text, ending(c, text));
}

static int asked(struct conn *c) {
    char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
    if (!end) return c->in_len == IN_BYTES ? -1 : 0;
    size_t head = end + 4 - c->in, body = 0;
    for (char *line = c->in; line < end; line = (char *)memchr(line, '\n', end + 2 - line) + 1)
        if (!strncasecmp(line, "content-length:", 15)) body = strtoul(line + 15, NULL, 10);
    if (head + body > IN_BYTES) return -1;
    if (c->in_len < head + body) return 0;
    unsigned chunks = 0, gap = 0, think = 0;
    char *told = memmem(c->in + head, body, "bench ", 6);
    if (told) sscanf(told + 6, "%u %u %u", &chunks, &gap, &think);
    c->usage = memmem(c->in + head, body, "\"include_usage\":true", 20) != NULL;
    c->chunks = c->left = chunks;
    c->gap = gap * 1000ull;
    c->waiting = 1;
    c->in_len = 0;
    c->due = now_ns();
    if (!think) return answer(c);
    plan(c, c->due + think * 1000ull);
    return 0;
}

static int heard(struct conn *c, uint32_t events) {
    if (events & EPOLLOUT && c->out_len) {
        ssize_t sent = send(c->fd, c->out + c->out_at, c->out_len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return -1;
        if (sent > 0) c->out_at += sent, c->out_len -= sent;
        if (!c->out_len) {
            c->out_at = 0;
            watch(c);
            if (c->waiting && c->place < 0 && answer(c)) return -1;
        }
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return 0;
    ssize_t got = recv(c->fd, c->in + c->in_len, IN_BYTES - c->in_len, 0);
    if (got < 0 && errno == EAGAIN) return 0;
    if (got <= 0) return -1;
    c->in_len += got;
    return c->waiting ? 0 : asked(c);
}

static void welcome(int listener) {
    for (int fd, one = 1; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct conn *c = calloc(1, sizeof *c);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        c->fd = fd;
        c->place = -1;
        c->in = malloc(IN_BYTES);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
    }
}

static void write_answers(void) {
    static const char common[] =
        "date: Thu, 09 Oct 2025 08:00:00 GMT\r\nopenai-organization: bench\r\nopenai-processing-ms: 12\r\n"
        "openai-version: 2020-10-01\r\nx-ratelimit-remaining-requests: 9999\r\nx-request-id: req_0123456789abcdef\r\n";
    char body[1024];
    size_t len = sprintf(body,
        "{\n  \"id\": \"chatcmpl-bench0123456789\",\n  \"object\": \"chat.completion\",\n  \"created\": 1760000000,\n"
        "  \"model\": \"gpt-4o-mini-2024-07-18\",\n  \"choices\": [\n    {\n      \"index\": 0,\n      \"message\": {\n"
        "        \"role\": \"assistant\",\n        \"content\": \"A fare gate holds the highest fare, lets you through, and "
        "settles the true one on the way out.\",\n        \"refusal\": null\n      },\n      \"logprobs\": null,\n"
        "      \"finish_reason\": \"stop\"\n    }\n  ],\n  \"usage\": {\n    \"prompt_tokens\": 21,\n"
        "    \"completion_tokens\": 24,\n    \"total_tokens\": 45\n  }\n}\n");
    plain_len = sprintf(plain, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n%scontent-length: %zu\r\n\r\n%s",
                        common, len, body);
    stream_head_len = sprintf(stream_head,
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n%stransfer-encoding: chunked\r\n\r\n", common);
}

int main(int argc, char **argv) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 0)};
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&at, sizeof at) || listen(listener, 4096)) return perror("mock"), 1;
    getsockname(listener, (void *)&at, &size);
    printf("PORT %d\n", ntohs(at.sin_port));
    fflush(stdout);
    write_answers();
    poller = epoll_create1(0);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, t = {.events = EPOLLIN, .data.ptr = &timer}, ready[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &t);
    uint64_t last = 0;
    for (;;) {
        int count = epoll_wait(poller, ready, 256, now_ns() - last < AWAKE_NS ? 0 : -1);
        if (count > 0) last = now_ns();
        else sched_yield();
        for (int i = 0; i < count; i++) {
            if (!ready[i].data.ptr) {
                welcome(listener);
            } else if (ready[i].data.ptr == &timer) {
                uint64_t times;
                if (read(timer, &times, sizeof times) < 0) continue;
            } else if (heard(ready[i].data.ptr, ready[i].events)) {
                drop(ready[i].data.ptr);
            }
        }
        while (heap_len && heap[0]->due <= now_ns()) {
            struct conn *c = heap[0];
            unplan(c);
            if (answer(c)) drop(c);
        }
        arm();
    }
}
