//! What people say, and gates ask for: approvals and evidence.

use switchover::Stage;

use crate::domain::evidence::EvidenceKind;
use crate::domain::external::ExternalName;
use crate::domain::gate::GateReport;
use crate::http::approvals::NewApprovalBody;
use crate::http::evidence::NewEvidenceBody;
use crate::http::externals::NewConfirmationBody;
use crate::http::extract::{Maintainer, Operator};
use crate::http::rollouts::read_reason;
use crate::service::{Failure, Services};
use crate::web::actions::control::{Choice, Control};
use crate::web::actions::form::{Form, Order, deed, noted};
use crate::web::actions::said::Said;
use crate::web::actions::scene::{OnRollout, OnRoute, Scene as _};
use crate::web::actions::stages::{Promote, choice};
use crate::web::fields::Fields;
use crate::web::words::stage_name;

/// A maintainer's word that the next promotion may be made.
pub(crate) struct Approve;

impl Form for Approve {
    type Role = Maintainer;
    type On = OnRollout;

    const SLUG: &'static str = "approve";
    const TITLE: &'static str = "Approve the promotion";
    const MEANS: &'static str = "It is for this rollout as it is: a later change of what is approved voids it. \
                                 Your own promotion is approved by somebody else.";
    const IS_TRIED: bool = false;
    const IS_TAGGED: bool = true;

    fn first(scene: &OnRollout) -> Fields {
        let next = scene.rollout().stage.next();
        Fields::default().with("to", next.map_or("", Stage::name))
    }

    fn controls(scene: &OnRollout, _: &Services) -> Result<Vec<Control>, Failure> {
        let next = scene.rollout().stage.next();
        Ok(vec![
            Control::choice("to", "To", next.map(choice).into_iter().collect()),
            Control::line("comment", "Comment").hint("What you looked at. It can be left out."),
        ])
    }

    fn gates(scene: &OnRollout, services: &Services) -> Result<Vec<GateReport>, Failure> {
        Promote::gates(scene, services)
    }

    fn order(scene: &OnRollout, fields: &Fields) -> Result<Order, Failure> {
        let body: NewApprovalBody = Said::of(fields).choice("to").text("comment").read()?;
        let (to, comment) = body.read()?;
        let (target, title) = (scene.target.clone(), scene.title());
        Ok(deed(move |services, ctx| {
            services.approve(ctx, &target, to, &comment, &|_| {
                noted(format!(
                    "{title}: the promotion to {} is approved, for everybody but you.",
                    stage_name(to)
                ))
            })
        }))
    }
}

/// One's own word taken back.
pub(crate) struct WithdrawApproval;

impl Form for WithdrawApproval {
    type Role = Maintainer;
    type On = OnRollout;

    const SLUG: &'static str = "withdraw-approval";
    const TITLE: &'static str = "Withdraw an approval";
    const MEANS: &'static str = "Your own approval counts no longer.";
    const IS_TRIED: bool = false;

    fn first(_: &OnRollout) -> Fields {
        Fields::default()
    }

    fn controls(scene: &OnRollout, services: &Services) -> Result<Vec<Control>, Failure> {
        let approvals = services.approvals(&scene.target)?;
        let mut own = approvals
            .into_iter()
            .filter(|view| view.approval.approver == scene.actor.subject)
            .collect::<Vec<_>>();
        own.reverse();
        let choices = own.into_iter().map(|view| {
            let state = if view.valid { "valid" } else { "void" };
            let to = stage_name(view.approval.to);
            let label = format!("{to}, {state}: {}", view.approval.comment);
            Choice::new(view.approval.id, label)
        });
        Ok(vec![
            Control::choice("approval", "Approval", choices.collect())
                .hint("Your own approvals of this rollout."),
            Control::reason(),
        ])
    }

    fn order(scene: &OnRollout, fields: &Fields) -> Result<Order, Failure> {
        let reason = read_reason(fields.get("reason"))?;
        let id = fields.get("approval").to_owned();
        if id.is_empty() {
            return Err(Failure::invalid(
                "approval",
                "you have given none that is left",
            ));
        }
        let (target, title) = (scene.target.clone(), scene.title());
        Ok(deed(move |services, ctx| {
            services.withdraw_approval(ctx, &target, &id, reason.as_str(), &|()| {
                noted(format!("{title}: your approval is withdrawn."))
            })
        }))
    }
}

/// What was seen, put on record.
pub(crate) struct AddEvidence;

impl Form for AddEvidence {
    type Role = Operator;
    type On = OnRollout;

    const SLUG: &'static str = "evidence";
    const TITLE: &'static str = "Add evidence";
    const MEANS: &'static str = "What was seen here, for gates and approvers. It is never changed: a newer one stands against it.";
    const IS_TRIED: bool = false;

    fn first(_: &OnRollout) -> Fields {
        Fields::default().with("verdict", "pass")
    }

    fn controls(_: &OnRollout, _: &Services) -> Result<Vec<Control>, Failure> {
        let kinds = EvidenceKind::ALL.into_iter();
        let kinds = kinds.map(|kind| Choice::new(kind.name(), kind.name().replace('_', " ")));
        Ok(vec![
            Control::choice("kind", "About", kinds.collect())
                .hint("An acceptance test needs performance, resources and error rate."),
            Control::choice(
                "verdict",
                "Verdict",
                vec![Choice::new("pass", "Pass"), Choice::new("fail", "Fail")],
            ),
            Control::area("summary", "Summary")
                .hint("What was seen. It can be left out where callers' reports say it."),
            Control::line("url", "Where to see it").hint("An http or https address."),
            Control::tick("telemetry", "Add what callers have reported")
                .hint("Both paths side by side, since the acceptance window was opened."),
        ])
    }

    fn order(scene: &OnRollout, fields: &Fields) -> Result<Order, Failure> {
        let said = Said::of(fields)
            .choice("kind")
            .choice("verdict")
            .optional("summary")
            .optional("url");
        let said = match fields.is_set("telemetry") {
            true => said.with("telemetry", serde_json::json!({})),
            false => said,
        };
        let new = said.read::<NewEvidenceBody>()?.read()?;
        let (target, title) = (scene.target.clone(), scene.title());
        Ok(deed(move |services, ctx| {
            services.add_evidence(ctx, &target, &new, &|made| {
                let kind = made.kind.name().replace('_', " ");
                noted(format!("{title}: evidence about {kind} is on record."))
            })
        }))
    }
}

/// The owner's word that something outside is so.
pub(crate) struct Confirm;

impl Form for Confirm {
    type Role = Operator;
    type On = OnRoute;

    const SLUG: &'static str = "confirm";
    const TITLE: &'static str = "Confirm an outside dependency";
    const MEANS: &'static str =
        "Promotions wait for it. Its owner confirms it, or an admin in the owner's place.";
    const IS_TRIED: bool = false;

    fn first(_: &OnRoute) -> Fields {
        Fields::default()
    }

    fn controls(scene: &OnRoute, services: &Services) -> Result<Vec<Control>, Failure> {
        let found = services.externals(scene.route())?;
        let open = found
            .into_iter()
            .filter(|external| external.confirmed.is_none());
        let choices = open.map(|external| {
            let label = format!(
                "{}: {} ({})",
                external.name, external.description, external.owner
            );
            Choice::new(external.name.to_string(), label)
        });
        Ok(vec![
            Control::choice("name", "Dependency", choices.collect()),
            Control::line("comment", "Comment").hint("How you know. It can be left out."),
        ])
    }

    fn order(scene: &OnRoute, fields: &Fields) -> Result<Order, Failure> {
        let body: NewConfirmationBody = Said::of(fields).text("comment").read()?;
        let comment = body.read()?;
        let name: ExternalName = fields
            .get("name")
            .parse()
            .map_err(|_| Failure::invalid("name", "none is waited for"))?;
        let (key, title) = (scene.route().clone(), scene.title());
        Ok(deed(move |services, ctx| {
            services.confirm_external(ctx, &key, &name, &comment, &|external| {
                noted(format!("{title}: {} is confirmed.", external.name))
            })
        }))
    }
}
