/* The load generator of the benchmark: one thread, epoll; calls as the OpenAI SDK makes them, every answer checked.
 *
 *   load -p PORT [-u PATH] [-k KEY] [-c CONNECTIONS] [-d SECONDS] [-n CALLS] [-r RATE] [-b CHUNKS] [-g GAP_US] [-t THINK_US] [-a]
 *
 * Without -r: closed loop, every connection calls again as soon as it has its answer (throughput).
 * With -r: open loop, RATE calls a second at uneven times, on an idle connection or a new one (latency).
 * It ends after SECONDS or CALLS; what was begun is finished. -a prints every sample too. Prints one line of JSON.
 * A stream counts as good when all its chunks and [DONE] came; the delay of a chunk is taken from the time written in it (mock.c).
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
#define AWAKE_NS 1000000 /* as in mock.c */
#define PATIENCE 30000000000ull /* ns without any event before what is open counts as failed */

enum state { IDLE, HEAD, SIZE, DATA, DATA_END, LAST, FIXED };

struct conn {
    int fd, chunks, done, failed;
    enum state state;
    uint64_t sent, first;
    size_t left, in_len, text_len;
    char *in, *text; /* bytes as they came; the body's bytes up to the last whole event */
    struct conn *next;
};

struct samples {
    const char *name;
    size_t len, room;
    uint64_t *at;
};

static int poller, port = 8080, connections = 1, chunks, all, open_calls;
static double seconds = 2, rate;
static long most = -1, begun, finished, in_time, errors, bad_streams, chunk_count;
static uint64_t end_at;
static char request[4096], last_error[64] = "";
static size_t request_len;
static struct conn *idle;
static struct samples latency = {.name = "latency_us"}, first = {.name = "first_us"}, delay = {.name = "chunk_delay_us"};

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

static void note(struct samples *s, uint64_t value) {
    if (s->len == s->room) s->at = realloc(s->at, (s->room = s->room ? s->room * 2 : 65536) * sizeof *s->at);
    s->at[s->len++] = value;
}

static void plug_in(struct conn *c) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (void *)&to, sizeof to)) {
        perror("load: connect");
        exit(2);
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e);
}

static struct conn *made(void) {
    struct conn *c = calloc(1, sizeof *c);
    c->in = malloc(IN_BYTES);
    c->text = malloc(2 * IN_BYTES);
    plug_in(c);
    return c;
}

static int may_begin(void) { return (most < 0 || begun < most) && now_ns() < end_at; }

static void call(struct conn *c) {
    begun++;
    open_calls++;
    c->state = HEAD;
    c->chunks = c->done = c->failed = 0;
    c->in_len = c->text_len = 0;
    c->first = 0;
    c->sent = now_ns();
    if (send(c->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len) c->failed = 1; /* the hang-up is read later */
}

static void over(struct conn *c, const char *error) {
    uint64_t now = now_ns();
    open_calls--;
    finished++;
    in_time += now <= end_at;
    c->state = IDLE;
    if (error || c->failed) {
        errors++;
        snprintf(last_error, sizeof last_error, "%s", error ? error : "not sent");
    } else {
        note(&latency, now - c->sent);
        if (chunks) note(&first, c->first - c->sent);
        if (chunks && (c->chunks != chunks || c->done != 1)) bad_streams++;
    }
    if (error) {
        close(c->fd);
        plug_in(c);
    }
    if (rate == 0 && may_begin()) {
        call(c);
    } else {
        c->next = idle;
        idle = c;
    }
}

/* Look at every whole event of the body so far. */
static void read_events(struct conn *c, uint64_t now) {
    char *at = c->text, *end = c->text + c->text_len, *stop;
    while ((stop = memmem(at, end - at, "\n\n", 2))) {
        char *mark = memchr(at, '@', stop - at);
        if (!c->first) c->first = now;
        if (mark && stop - mark > 19) {
            c->chunks++;
            chunk_count++;
            uint64_t sent = strtoull(mark + 1, NULL, 10);
            note(&delay, now > sent ? now - sent : 0);
        } else if (stop - at >= 12 && !memcmp(at, "data: [DONE]", 12)) {
            c->done++;
        }
        at = stop + 2;
    }
    c->text_len = end - at;
    memmove(c->text, at, c->text_len);
}

static const char *read_head(struct conn *c, size_t *at) {
    char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
    if (!end) return NULL;
    int chunked = 0;
    c->left = 0;
    if (c->in_len < 12 || memcmp(c->in + 9, "200", 3)) {
        static char text[32];
        snprintf(text, sizeof text, "status %.3s", c->in + 9);
        return text;
    }
    for (char *line = c->in; line < end; line = (char *)memchr(line, '\n', end + 2 - line) + 1) {
        if (!strncasecmp(line, "content-length:", 15)) c->left = strtoul(line + 15, NULL, 10);
        if (!strncasecmp(line, "transfer-encoding:", 18)) chunked = 1;
    }
    *at = end + 4 - c->in;
    c->state = chunked ? SIZE : FIXED;
    return NULL;
}

/* Take what was read apart; return what was wrong, if anything was. */
static const char *take(struct conn *c, uint64_t now, int *whole) {
    size_t at = 0;
    *whole = 0;
    if (c->state == HEAD) {
        const char *wrong = read_head(c, &at);
        if (wrong || c->state == HEAD) return wrong;
    }
    while (!*whole) {
        size_t have = c->in_len - at;
        if (c->state == FIXED || c->state == DATA) {
            size_t part = have < c->left ? have : c->left;
            if (chunks) {
                if (c->text_len + part > 2 * IN_BYTES) return "an event without end";
                memcpy(c->text + c->text_len, c->in + at, part);
                c->text_len += part;
            }
            at += part;
            c->left -= part;
            if (c->left) break;
            if (c->state == FIXED) *whole = 1;
            c->state = DATA_END;
        } else {
            char *line = memmem(c->in + at, have, "\r\n", 2);
            if (!line) break;
            if (c->state == LAST) {
                *whole = line == c->in + at;
            } else if (c->state == DATA_END) {
                if (line != c->in + at) return "a chunk of the wrong length";
                c->state = SIZE;
            } else {
                c->left = strtoul(c->in + at, NULL, 16);
                c->state = c->left ? DATA : LAST;
            }
            at = line + 2 - c->in;
        }
    }
    if (chunks) read_events(c, now);
    if (*whole && at != c->in_len) return "more than one answer";
    c->in_len -= at;
    memmove(c->in, c->in + at, c->in_len);
    return NULL;
}

static void heard(struct conn *c) {
    ssize_t got = recv(c->fd, c->in + c->in_len, IN_BYTES - c->in_len, 0);
    int whole;
    if (got <= 0) {
        if (c->state != IDLE) return over(c, "closed before its end");
        close(c->fd); /* an idle connection may be closed; take a new one */
        return plug_in(c);
    }
    c->in_len += got;
    const char *wrong = c->state == IDLE ? "bytes that nobody asked for" : take(c, now_ns(), &whole);
    if (wrong && c->state == IDLE) errors++, c->in_len = 0;
    else if (wrong || whole) over(c, wrong);
}

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void print(struct samples *s) {
    static const double parts[] = {0.5, 0.9, 0.99, 0.999, 1};
    static const char *names[] = {"p50", "p90", "p99", "p999", "max"};
    if (!s->len) return;
    qsort(s->at, s->len, sizeof *s->at, by_size);
    printf(", \"%s\": {", s->name);
    for (int i = 0; i < 5; i++) {
        size_t at = parts[i] * s->len;
        printf("%s\"%s\": %.1f", i ? ", " : "", names[i], s->at[at < s->len ? at : s->len - 1] / 1000.0);
    }
    printf("}");
    if (!all) return;
    printf(", \"%s_all\": [", s->name);
    for (size_t i = 0; i < s->len; i++) printf("%s%.1f", i ? "," : "", s->at[i] / 1000.0);
    printf("]");
}

static void write_request(const char *path, const char *key, unsigned gap, unsigned think) {
    char body[512];
    int len = sprintf(body,
        "{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":\"bench %d %u %u: what does a fare gate do?\"}],"
        "\"temperature\":0.2%s}", chunks, gap, think, chunks ? ",\"stream\":true" : "");
    request_len = snprintf(request, sizeof request,
        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n"
        "Accept: application/json\r\nContent-Type: application/json\r\nUser-Agent: AsyncOpenAI/Python 2.3.0\r\n"
        "X-Stainless-Lang: python\r\nX-Stainless-Package-Version: 2.3.0\r\nX-Stainless-Async: async:asyncio\r\n"
        "Authorization: Bearer %s\r\nx-stainless-retry-count: 0\r\nContent-Length: %d\r\n\r\n%s",
        path, port, key, len, body);
}

static void arm(int timer, uint64_t at) {
    struct itimerspec when = {{0, 0}, {at / 1000000000u, at % 1000000000u}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* The time between two calls: even on average, uneven one by one, the same in every run. */
static uint64_t pause_ns(void) { return 1e9 / rate * (0.5 + rand() / (double)RAND_MAX); }

int main(int argc, char **argv) {
    const char *path = "/v1/chat/completions", *key = "none";
    unsigned gap = 0, think = 0;
    for (int o; (o = getopt(argc, argv, "p:u:k:c:d:n:r:b:g:t:a")) != -1;) switch (o) {
        case 'p': port = atoi(optarg); break;
        case 'u': path = optarg; break;
        case 'k': key = optarg; break;
        case 'c': connections = atoi(optarg); break;
        case 'd': seconds = atof(optarg); break;
        case 'n': most = atol(optarg); break;
        case 'r': rate = atof(optarg); break;
        case 'b': chunks = atoi(optarg); break;
        case 'g': gap = atoi(optarg); break;
        case 't': think = atoi(optarg); break;
        case 'a': all = 1; break;
        default: return 2;
    }
    poller = epoll_create1(0);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event t = {.events = EPOLLIN, .data.ptr = NULL}, ready[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &t);
    write_request(path, key, gap, think);
    srand(1);
    for (int i = 0; i < connections; i++) {
        struct conn *c = made();
        c->next = idle;
        idle = c;
    }
    uint64_t start = now_ns(), next = start, heard_at = start;
    end_at = start + seconds * 1e9;
    if (rate == 0)
        for (struct conn *c; (c = idle) && may_begin();) idle = c->next, call(c);
    while (open_calls || (rate > 0 && may_begin())) {
        if (rate > 0 && may_begin()) {
            if (next <= now_ns()) {
                struct conn *c = idle;
                if (c) idle = c->next;
                call(c ? c : made());
                next += pause_ns();
            }
            arm(timer, next);
        }
        int count = epoll_wait(poller, ready, 256, now_ns() - heard_at < AWAKE_NS ? 0 : 1000);
        uint64_t now = now_ns(), times;
        if (count == 0) sched_yield();
        if (count > 0) heard_at = now;
        if (now - heard_at > PATIENCE) {
            errors += open_calls;
            snprintf(last_error, sizeof last_error, "%d calls got no answer", open_calls);
            break;
        }
        for (int i = 0; i < count; i++) {
            if (ready[i].data.ptr) heard(ready[i].data.ptr);
            else if (read(timer, &times, sizeof times) < 0 && errno != EAGAIN) return perror("load: timer"), 2;
        }
    }
    double took = (now_ns() - start) / 1e9, counted = took < seconds ? took : seconds;
    printf("{\"calls\": %ld, \"errors\": %ld, \"bad_streams\": %ld, \"chunks\": %ld, \"seconds\": %.4f, \"per_second\": %.1f, \"last_error\": \"%s\"",
           finished, errors, bad_streams, chunk_count, took, in_time / counted, last_error);
    print(&latency);
    print(&first);
    print(&delay);
    printf("}\n");
    return 0;
}
