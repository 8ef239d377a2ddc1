/* smtpd-queue: owns the queue on disk. Runs as staffetta-queue, in its own directory, without
 * network. */
#include "smtpd/queue/queue.h"

int main(void)
{
    struct queue queue = {0};
    return role_run(&queue_role, &queue);
}
