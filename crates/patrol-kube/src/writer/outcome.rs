//! What a reply means for the engine. Of the server's words only known ones count.

use patrol_api::time::Span;
use patrol_core::event::{Refusal, WriteResult, Written};
use patrol_core::facts::{Fact, decode};
use patrol_core::kind::Kind;

use crate::client::Reply;
use crate::error::CallError;
use crate::status::Status;

/// How a reply is to be taken.
pub(super) fn result(kind: Kind, reply: Result<Reply, CallError>) -> WriteResult {
    let reply = match reply {
        Ok(reply) => reply,
        Err(CallError::NotLeader) => return WriteResult::Refused(Refusal::NotLeader),
        Err(error) => {
            tracing::warn!(kind = %kind, reason = error.as_str(), "a write brought no reply");
            return WriteResult::Failed;
        }
    };
    let code = reply.status.as_u16();
    if reply.status.is_success() {
        return match object(kind, &reply) {
            Some(written) => WriteResult::Done(written),
            None => WriteResult::Done(Written::Nothing),
        };
    }
    let status = Status::of(&reply);
    if code == 409 || status.is_uid_mismatch() {
        return WriteResult::Conflict;
    }
    if code == 429 {
        let wait = reply.retry_after.map(Span::from);
        return WriteResult::Throttled(wait);
    }
    match status.refusal(code) {
        Some(refusal) => {
            tracing::warn!(kind = %kind, status = code, reason = refusal.as_str(), "a write was refused");
            WriteResult::Refused(refusal)
        }
        // Without the API server's own words it may be anyone's.
        None if code == 404 && status.is("NotFound") => WriteResult::NotFound,
        None => {
            tracing::warn!(kind = %kind, status = code, "a write failed");
            WriteResult::Failed
        }
    }
}

/// The object in a reply, when it is one of ours.
pub(super) fn object(kind: Kind, reply: &Reply) -> Option<Written> {
    let seen = decode(kind, &reply.body).ok()?;
    Some(match seen.fact {
        Fact::Ticket(ticket) => Written::Ticket(ticket),
        Fact::Policy(policy) => Written::Policy(policy),
        Fact::Receiver(receiver) => Written::Receiver(receiver),
        Fact::Waiver(waiver) => Written::Waiver(waiver),
        _ => return None,
    })
}
