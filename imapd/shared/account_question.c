/* Questions to other accounts' processes; see account_question.h. */
#include "imapd/shared/account_question.h"

#include <utlist.h>

#include "imapd/mailbox.h"

bool account_ask(struct account_question *question, struct session *session, struct slice account,
                 session_step *then)
{
    struct mailbox *mailbox = session->mailbox;
    struct ipc_header record = {.type = MASTER_KNOWN, .request = mailbox->last_request + 1};
    if (account.len > MASTER_ACCOUNT_MAX || !mailbox->tell_master
        || !mailbox->tell_master(mailbox, &record, sizeof(record), account))
        return false;
    *question = (struct account_question){.session = session, .request = ++mailbox->last_request};
    DL_APPEND(mailbox->account_questions, question);
    session_wait(session, then);
    return true;
}

void account_question_end(struct account_question *question)
{
    if (question->session)
        DL_DELETE(question->session->mailbox->account_questions, question);
    question->session = NULL;
}

void account_on_answer(struct mailbox *mailbox, uint64_t request, enum account_outcome outcome)
{
    struct account_question *question;
    DL_SEARCH_SCALAR(mailbox->account_questions, question, request, request);
    if (!question)
        return;
    question->outcome = outcome;
    session_resume(question->session);
}
