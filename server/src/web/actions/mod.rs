//! Everything that changes a rollout or a route: forms that show what would happen before it does.
//!
//! A form's fields become the request that the API would be sent, and are read by the API's own
//! types; what it would do is told by the change itself, tried out; and it is done to the state that
//! was shown, or shown anew.

mod control;
mod exposure;
mod form;
mod forms;
mod offers;
mod page;
mod people;
mod preview;
mod remedies;
mod revert;
mod route;
mod said;
mod scene;
mod sending;
mod stages;
mod stores;
mod switches;
mod told;

pub(crate) use forms::{FORMS, serve};
pub(crate) use offers::{HaltInline, Kind, Offer, offered, offered_of_route};
pub(crate) use remedies::remedy_form;
