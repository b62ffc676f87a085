//! Every form that there is, once: for the server, and for who has to know them all.

use actix_web::web::{ServiceConfig, get, post, resource};

use crate::domain::actor::Role;
use crate::http::extract::MinRole;
use crate::web::actions::form::Form;
use crate::web::actions::scene::Scene;
use crate::web::actions::sending::{send, show};
use crate::web::actions::{exposure, people, revert, route, stages, stores, switches};

macro_rules! forms {
    ($($form:path),* $(,)?) => {
        /// Where each form is, as a pattern of its address, and the role that it needs.
        pub(crate) const FORMS: &[(&str, &str, Role)] = &[
            $((<<$form as Form>::On as Scene>::PATTERN, <$form>::SLUG, <<$form as Form>::Role as MinRole>::ROLE)),*
        ];

        /// Serves each form, and the way back from what is on record.
        pub(crate) fn serve(config: &mut ServiceConfig) {
            $(serve_one::<$form>(config);)*
            config.service(revert::show);
        }
    };
}

forms! {
    stages::Promote,
    stages::Demote,
    switches::Halt,
    switches::Resume,
    exposure::Setting,
    exposure::Cohorts,
    exposure::Mirror,
    exposure::OpenWindow,
    exposure::CloseWindow,
    switches::PlanRamp,
    switches::StartRamp,
    switches::PauseRamp,
    switches::ResumeRamp,
    people::Approve,
    people::WithdrawApproval,
    people::AddEvidence,
    people::Confirm,
    stores::OrderBackfill,
    stores::SettleRepairs,
    stores::Compare,
    stores::Schedule,
    stores::DeclareGone,
    route::Prepare,
    route::Edit,
    route::WriteRunbook,
    route::Retire,
}

fn serve_one<F: Form>(config: &mut ServiceConfig) {
    let address = format!("{}/{}", F::On::PATTERN, F::SLUG);
    config.service(
        resource(address)
            .route(get().to(show::<F>))
            .route(post().to(send::<F>)),
    );
}
