//! Everything that changes a rollout or a route: forms that show what would happen before it does.

mod offers;

pub(crate) use offers::{HaltInline, Kind, Offer, address, offered, offered_of_route};
