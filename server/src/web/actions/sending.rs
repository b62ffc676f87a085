//! How a form is shown, tried out and carried out.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use sha2::{Digest as _, Sha256};

use crate::domain::actor::Actor;
use crate::domain::approval::hex;
use crate::http::App;
use crate::http::error::Problem;
use crate::service::{Ctx, Failure, Services};
use crate::web::actions::control::Control;
use crate::web::actions::form::{Form, Move, Order};
use crate::web::actions::page::{Again, Besides, FormPage, View};
use crate::web::actions::preview::{Preview, lately};
use crate::web::actions::revert::undo;
use crate::web::actions::scene::Scene;
use crate::web::fields::{Fields, Submitted};
use crate::web::{Section, Shell, Signed, Trouble, answer, done};

/// Fields that nobody fills in for somebody else.
const PERSONAL: [&str; 4] = ["reason", "accept_loss", "break_glass", "confirm"];

/// What became of a form that was sent.
enum Outcome {
    /// It was carried out: where to go, and what to say there.
    Done(String, String),
    /// It is shown again.
    Again(Box<Again>),
}

/// Shows a form, filled in as the address says.
pub(super) async fn show<F: Form>(
    app: Data<Arc<App>>,
    signed: Signed<F::Role>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let name = F::On::named(&request)?;
    let asked = Fields::read(request.query_string().as_bytes());
    let actor = signed.session.actor.clone();
    let view = app
        .blocking(move |services| first::<F>(services, &actor, name, &asked))
        .await?;
    page(&app, &request, (signed.session, StatusCode::OK, view))
}

/// Tries a form out, or carries it out.
pub(super) async fn send<F: Form>(
    app: Data<Arc<App>>,
    submitted: Submitted<F::Role>,
    request: HttpRequest,
) -> Result<HttpResponse, Trouble> {
    let name = F::On::named(&request)?;
    let Submitted {
        session,
        ctx,
        fields,
        ..
    } = submitted;
    let outcome = app
        .blocking(move |services| Sent::<F>::load(services, ctx, name, fields)?.carried_out())
        .await?;
    match outcome {
        Outcome::Done(to, notice) => Ok(done(&request, &to, &notice)),
        Outcome::Again(again) => page(&app, &request, (session, again.status, again.view)),
    }
}

fn page(
    app: &App,
    request: &HttpRequest,
    (session, status, view): (crate::web::session::Session, StatusCode, View),
) -> Result<HttpResponse, Trouble> {
    let shell = Shell::of(&session, Section::Other, app.services.now());
    answer(request, status, &FormPage { shell, view })
}

fn first<F: Form>(
    services: &Services,
    actor: &Actor,
    name: <F::On as Scene>::Name,
    asked: &Fields,
) -> Result<View, Failure> {
    let scene = F::On::load(services, actor, name)?;
    let controls = F::controls(&scene, services)?;
    let mut fields = F::first(&scene);
    if let (Some(target), Some(seq)) = (scene.target(), asked.some("undo")) {
        let (slug, undoing) = undo(services, target, seq)?;
        if slug == F::SLUG {
            fields = undoing;
        }
    }
    // An address fills in what is to be done. What it costs, and why, a person says.
    let filled_in = controls
        .iter()
        .filter(|control| !PERSONAL.contains(&control.name));
    for control in filled_in {
        if let Some(value) = asked.some(control.name) {
            fields = fields.with(control.name, value);
        }
    }
    let besides = Besides {
        typed: (!F::IS_TRIED && F::IS_VOUCHED && scene.is_production()).then_some(false),
        ..Besides::default()
    };
    View::of::<F>((&scene, services), (controls, &fields), besides)
}

/// A form that was sent.
struct Sent<'a, F: Form> {
    services: &'a Services,
    ctx: Ctx,
    scene: F::On,
    controls: Vec<Control>,
    fields: Fields,
}

impl<'a, F: Form> Sent<'a, F> {
    fn load(
        services: &'a Services,
        ctx: Ctx,
        name: <F::On as Scene>::Name,
        fields: Fields,
    ) -> Result<Sent<'a, F>, Failure> {
        let scene = F::On::load(services, &ctx.actor, name)?;
        let controls = F::controls(&scene, services)?;
        let accepts = fields.is_set("accept_loss");
        Ok(Sent {
            ctx: ctx.accepting_loss(accepts),
            services,
            scene,
            controls,
            fields,
        })
    }

    fn carried_out(self) -> Result<Outcome, Failure> {
        match F::order(&self.scene, &self.fields) {
            Err(failure) => self.refused(failure, Besides::default()),
            Ok(Order::Change(change)) => self.moved(&Move::Change(change)),
            Ok(Order::Cohorts(target, uses, reason)) => {
                self.moved(&Move::Cohorts(target, uses, reason))
            }
            Ok(Order::Deed(deed)) => {
                let must_type = F::IS_VOUCHED && self.scene.is_production();
                if must_type && !self.is_typed() {
                    let besides = Besides {
                        typed: Some(true),
                        ..Besides::default()
                    };
                    return self.again(StatusCode::UNPROCESSABLE_ENTITY, besides);
                }
                match deed(self.services, &self.ctx) {
                    Ok(answer) => Ok(self.done(answer.receipt.body)),
                    Err(failure) => {
                        let besides = Besides {
                            typed: must_type.then_some(false),
                            ..Besides::default()
                        };
                        self.refused(failure, besides)
                    }
                }
            }
        }
    }

    /// Tries a change of a rollout out; or makes it, where it is what was tried out.
    fn moved(mut self, change: &Move) -> Result<Outcome, Failure> {
        if change.is_urgent() {
            // A page that has been open for long sends the same form again, and means it again: what
            // was answered to the first time must not be taken for what is so now.
            self.ctx.idempotency = None;
        }
        let is_order = self.fields.get("step") == "apply";
        if !F::IS_TRIED {
            return match change.make(self.services, &self.ctx) {
                Ok(answer) => Ok(self.done(answer.receipt.body)),
                Err(failure) => self.refused(failure, Besides::default()),
            };
        }
        let is_as_seen = self.fields.get("seen") == self.filled_in();
        if !(is_order && is_as_seen) {
            let caution = is_order.then_some(
                "The form was filled in otherwise when it was previewed. This is what it would do now.",
            );
            let status = match is_order {
                true => StatusCode::UNPROCESSABLE_ENTITY,
                false => StatusCode::OK,
            };
            return self.tried(change, status, caution);
        }
        if self.must_type(change) && !self.is_typed() {
            return self.tried(change, StatusCode::UNPROCESSABLE_ENTITY, None);
        }
        match change.make(self.services, &self.ctx) {
            Ok(answer) => Ok(self.done(answer.receipt.body)),
            Err(Failure::Precondition { .. }) => {
                let caution = "It has changed in the meantime, so nothing was done. This is what it \
                               would do now: look at it, and decide anew.";
                self.tried(change, StatusCode::PRECONDITION_FAILED, Some(caution))
            }
            Err(failure) => self.refused(failure, Besides::default()),
        }
    }

    /// Whether the route's name has to be typed. What cannot be tried out any more, such as a form
    /// that was sent twice, is judged by what it is.
    fn must_type(&self, change: &Move) -> bool {
        let seen = change.rehearse(self.services, &self.ctx).ok();
        self.scene.is_production() && !change.is_safe(seen.as_ref(), self.ctx.accepts_loss)
    }

    fn is_typed(&self) -> bool {
        self.fields.get("confirm") == self.scene.route().as_str()
    }

    fn tried(
        self,
        change: &Move,
        status: StatusCode,
        caution: Option<&str>,
    ) -> Result<Outcome, Failure> {
        let changed = match change.rehearse(self.services, &self.ctx) {
            Ok(changed) => changed,
            Err(failure) => return self.refused(failure, Besides::default()),
        };
        let is_safe = change.is_safe(Some(&changed), self.ctx.accepts_loss);
        let route = self.services.route(&changed.after.route)?.route;
        let lately = self
            .scene
            .target()
            .and_then(|target| lately(self.services, target));
        let is_wrong = caution.is_none() && status != StatusCode::OK;
        let besides = Besides {
            preview: Some(Preview::of(&changed, &route.spec, lately.as_ref())),
            caution: caution.map(str::to_owned),
            seen: self.filled_in(),
            typed: (self.scene.is_production() && !is_safe).then_some(is_wrong),
            problem: None,
        };
        self.again(status, besides)
    }

    fn refused(self, failure: Failure, besides: Besides) -> Result<Outcome, Failure> {
        let problem = Problem::from(failure);
        let status = problem.status_code();
        let besides = Besides {
            problem: Some(problem),
            ..besides
        };
        self.again(status, besides)
    }

    fn again(self, status: StatusCode, besides: Besides) -> Result<Outcome, Failure> {
        let about = (&self.scene, self.services);
        let view = View::of::<F>(about, (self.controls, &self.fields), besides)?;
        Ok(Outcome::Again(Box::new(Again { status, view })))
    }

    fn done(&self, notice: String) -> Outcome {
        Outcome::Done(self.scene.address(), notice)
    }

    /// Stands for what was filled in: what is carried out is what was tried out.
    fn filled_in(&self) -> String {
        let mut hash = Sha256::new();
        for control in &self.controls {
            for value in self.fields.all(control.name) {
                hash.update(format!("{}\0{value}\0", control.name));
            }
        }
        hex(&hash.finalize())
    }
}
