/* Commands of DPDK's telemetry (a Unix socket) about the stack: telemetry's threads ask, the stack's thread answers.
 * Called by DPDK (as a registered command) and by Python's _telemetry.py; calls rte_telemetry, and nothing of the
 * stack.
 *
 *   telemetry thread    ask ─► ASKED ─ eventfd ─►│             │─► result, or "busy" if nobody took it in WAIT_S
 *   stack's thread                       take ─► TAKEN ─ fill ─► done
 *
 * While it is TAKEN the answer is the stack's thread's alone. One question at a time; telemetry allows ten clients. EAL
 * is one for the process by its nature, and so is this.
 */
#include "dpdk.h"

#include <rte_telemetry.h>
#include <rte_version.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define WAIT_S 3 /* for the loop to turn; whoever holds it for longer is what the asker wants to know of */

#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
#define add_number rte_tel_data_add_dict_uint
#else
#define add_number rte_tel_data_add_dict_u64
#endif

enum state { IDLE, ASKED, TAKEN, DONE };

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER; /* held by the one asker */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all that follows */
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static enum state state;
static const char *command, *params;
static struct rte_tel_data *answer, *item;
static int result;
static int bell = -1; /* an eventfd; -1: no stack answers */

static void fail(struct rte_tel_data *data, const char *why)
{
    rte_tel_data_start_dict(data);
    rte_tel_data_add_dict_string(data, "error", why);
}

/* With the lock held: true if it was answered. */
static bool wait_for_answer(void)
{
    struct timespec end;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += WAIT_S;
    while (state == ASKED && bell >= 0)
        if (pthread_cond_timedwait(&moved, &lock, &end) == ETIMEDOUT)
            break;
    while (state == TAKEN)
        pthread_cond_wait(&moved, &lock);
    return state == DONE;
}

static int ask(const char *cmd, const char *parameters, struct rte_tel_data *data)
{
    uint64_t one = 1;
    int rc = 0;

    pthread_mutex_lock(&turn);
    pthread_mutex_lock(&lock);
    command = cmd;
    params = parameters != NULL ? parameters : "";
    answer = data;
    state = ASKED;
    if (bell < 0 || write(bell, &one, sizeof(one)) < 0)
        fail(data, "no stack runs in this process now");
    else if (wait_for_answer())
        rc = result;
    else
        fail(data, bell < 0 ? "the stack has just stopped" : "busy: something has held the process's loop for 3 s");
    state = IDLE;
    pthread_mutex_unlock(&lock);
    pthread_mutex_unlock(&turn);
    return rc;
}

int gd_telemetry_open(void)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    if (fd < 0)
        return -errno;
    pthread_mutex_lock(&lock);
    bell = fd;
    pthread_mutex_unlock(&lock);
    return fd;
}

void gd_telemetry_close(void)
{
    pthread_mutex_lock(&lock);
    if (bell >= 0)
        close(bell);
    bell = -1;
    pthread_cond_broadcast(&moved);
    pthread_mutex_unlock(&lock);
}

int gd_telemetry_register(const char *cmd, const char *help)
{
    return rte_telemetry_register_cmd(cmd, ask, help);
}

int gd_telemetry_take(const char **cmd, const char **parameters)
{
    uint64_t count;
    bool asked;

    pthread_mutex_lock(&lock);
    if (bell >= 0 && read(bell, &count, sizeof(count)) < 0) {
        /* rung before, and taken by then */
    }
    asked = state == ASKED;
    if (asked) {
        state = TAKEN;
        *cmd = command;
        *parameters = params;
        item = NULL;
        rte_tel_data_start_dict(answer);
    }
    pthread_mutex_unlock(&lock);
    return asked ? 1 : 0;
}

void gd_telemetry_done(int rc)
{
    pthread_mutex_lock(&lock);
    if (state == TAKEN) {
        result = rc;
        state = DONE;
        pthread_cond_broadcast(&moved);
    }
    pthread_mutex_unlock(&lock);
}

static struct rte_tel_data *target(void)
{
    return item != NULL ? item : answer;
}

int gd_telemetry_text(const char *name, const char *value)
{
    return rte_tel_data_add_dict_string(target(), name, value);
}

int gd_telemetry_number(const char *name, uint64_t value)
{
    return add_number(target(), name, value);
}

int gd_telemetry_item(const char *name)
{
    struct rte_tel_data *made = rte_tel_data_alloc();

    if (made == NULL)
        return -ENOMEM;
    rte_tel_data_start_dict(made);
    if (rte_tel_data_add_dict_container(answer, name, made, 0) < 0) {
        rte_tel_data_free(made);
        return -ENOSPC;
    }
    item = made;
    return 0;
}
