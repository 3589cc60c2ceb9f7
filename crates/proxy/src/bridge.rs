//! Any client to any server: settles the differences between the eras of the protocol, so that the rest of the message
//! path knows of none. `shape` rewrites results, `ask` carries a server's requests to the client, `park` keeps a
//! call waiting while a client of the modern era fetches input, `rounds` asks a legacy client what
//! a modern server wants to know, `url` turns a demand to visit a URL into such a question, `connect` has a client open the gateway's own link, `approval` has a person asked about a call, `task` remembers whose a task is.

mod approval;
mod ask;
mod connect;
mod park;
mod rounds;
mod shape;
mod task;
mod url;

pub(crate) use approval::{Begun, begin};
pub(crate) use ask::{Asked, Asks, Permitted, Question, undeclared};
pub(crate) use connect::{connect_first, take_answer};
pub(crate) use park::{Open, Parked, answers, digest_of, take};
pub(crate) use rounds::{ROUNDS_MAX, answer_round, input_required};
pub(crate) use shape::{
    complete, gateway_info, offers, remove_meta, shape_entry, shape_error, shape_result,
};
pub(crate) use task::TaskOwners;
pub(crate) use url::url_elicitation;
