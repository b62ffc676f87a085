//! A route as a whole: its preparation, what is said of it, its runbook, its end.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::domain::actor::Role;
use crate::domain::runbook::LARGEST_RUNBOOK;
use crate::http::extract::{Maintainer, MinRole, Operator};
use crate::http::preparation::StepBody;
use crate::http::retirement::RetirementBody;
use crate::http::rollouts::read_reason;
use crate::http::routes::RoutePatchBody;
use crate::service::{Failure, Services};
use crate::web::actions::control::{Choice, Control};
use crate::web::actions::form::{Form, Order, deed, noted};
use crate::web::actions::said::Said;
use crate::web::actions::scene::{OnRoute, Scene as _};
use crate::web::fields::Fields;

/// A step of the preparation.
pub(crate) struct Prepare;

impl Form for Prepare {
    type Role = Operator;
    type On = OnRoute;

    const SLUG: &'static str = "prepare";
    const TITLE: &'static str = "Take the preparation further";
    const MEANS: &'static str =
        "With its last step the route is published: ready for testing everywhere.";
    const IS_TRIED: bool = false;

    fn first(scene: &OnRoute) -> Fields {
        let preparation = scene.found.route.preparation.as_ref();
        let at = preparation.map(|preparation| preparation.at());
        let first = at.and_then(|at| at.first().copied()).unwrap_or_default();
        let step = match first {
            "analysis" => "move_ahead",
            "shelved" => "take_up",
            phase => return Fields::default().with("step_of", format!("complete:{phase}")),
        };
        Fields::default().with("step_of", step)
    }

    fn controls(_: &OnRoute, _: &Services) -> Result<Vec<Control>, Failure> {
        let steps = vec![
            Choice::new("estimate", "Say estimate or priority"),
            Choice::new("move_ahead", "Decide to do it"),
            Choice::new("complete:rpc_design", "Complete the RPC design"),
            Choice::new(
                "complete:server_implementation",
                "Complete the server's implementation",
            ),
            Choice::new(
                "complete:client_implementation",
                "Complete the client's implementation",
            ),
            Choice::new("shelve", "Shelve it for now"),
            Choice::new("take_up", "Take it up again"),
        ];
        Ok(vec![
            Control::choice("step_of", "Step", steps),
            Control::line("estimate", "Estimate")
                .hint("With an estimate: a number of days, or words."),
            Control::line("priority", "Priority").hint("With an estimate: 1 comes first."),
            Control::reason(),
        ])
    }

    fn order(scene: &OnRoute, fields: &Fields) -> Result<Order, Failure> {
        let said = Said::of(fields).text("reason");
        let (action, phase) = match fields.get("step_of").split_once(':') {
            Some((action, phase)) => (action, Some(phase)),
            None => (fields.get("step_of"), None),
        };
        let said = said.with("action", json!(action));
        let said = match (phase, action) {
            (Some(phase), _) => said.with("phase", json!(phase)),
            (None, "estimate") => {
                let said = said.whole("priority");
                match fields.some("estimate").map(str::parse::<u32>) {
                    None => said,
                    Some(Ok(days)) => said.with("estimate", json!(days)),
                    Some(Err(_)) => said.text("estimate"),
                }
            }
            (None, _) => said,
        };
        let (command, reason) = said.read::<StepBody>()?.read()?;
        let (key, title) = (scene.route().clone(), scene.title());
        Ok(deed(move |services, ctx| {
            services.prepare_route(ctx, &key, &command, &reason, &|found| {
                noted(match found.route.is_ready() {
                    true => format!("{title} is published: ready for testing everywhere."),
                    false => format!("{title}: the preparation is a step further."),
                })
            })
        }))
    }
}

/// Owner, description, links and contacts.
pub(crate) struct Edit;

/// The links of a route, by their names on the wire.
const LINKS: [(&str, &str); 4] = [
    ("runbook", "Runbook"),
    ("dashboard", "Dashboard"),
    ("alert", "Alert"),
    ("issue", "Issue"),
];

impl Form for Edit {
    type Role = Maintainer;
    type On = OnRoute;

    const SLUG: &'static str = "edit";
    const TITLE: &'static str = "Edit owner and links";
    const MEANS: &'static str = "What is said of the route. Key and flag never change.";
    const IS_TRIED: bool = false;
    const IS_TAGGED: bool = true;

    fn first(scene: &OnRoute) -> Fields {
        let spec = &scene.found.route.spec;
        let links = &spec.links;
        let contacts = spec.contacts.iter();
        let contacts = contacts.map(|(role, who)| format!("{role} {who}"));
        let contacts: Vec<String> = contacts.collect();
        let mut fields = Fields::default()
            .with("owner", spec.owner.clone())
            .with("description", spec.description.clone())
            .with("contacts", contacts.join("\n"));
        let set = [&links.runbook, &links.dashboard, &links.alert, &links.issue];
        for ((name, _), link) in LINKS.iter().zip(set) {
            fields = fields.with(name, link.clone().unwrap_or_default());
        }
        fields
    }

    fn controls(_: &OnRoute, _: &Services) -> Result<Vec<Control>, Failure> {
        let mut controls = vec![Control::line("owner", "Owner").hint("Who answers for it.")];
        controls.extend(LINKS.map(|(name, label)| Control::line(name, label)));
        controls.extend([
            Control::area("contacts", "Contacts")
                .hint("One a line: what they are, and who: technical_lead jane@example.com"),
            Control::area("description", "Description"),
            Control::reason(),
        ]);
        Ok(controls)
    }

    fn order(scene: &OnRoute, fields: &Fields) -> Result<Order, Failure> {
        let links = LINKS.iter().filter_map(|(name, _)| {
            let link = fields.some(name)?;
            Some(((*name).to_owned(), json!(link)))
        });
        let links: Map<String, Value> = links.collect();
        let lines = fields.lines("contacts");
        let contacts = lines.iter().map(|line| line.split_once(' ').ok_or(line));
        let contacts = contacts.collect::<Result<BTreeMap<&str, &str>, _>>();
        let contacts = contacts.map_err(|line| {
            let detail = format!("`{line}` says not both what somebody is, and who");
            Failure::invalid("contacts", detail)
        })?;
        let body: RoutePatchBody = Said::of(fields)
            .text("owner")
            .text("description")
            .text("reason")
            .with("links", Value::Object(links))
            .with("contacts", json!(contacts))
            .read()?;
        let (wanted, reason) = body.read()?;
        let (key, title) = (scene.route().clone(), scene.title());
        Ok(deed(move |services, ctx| {
            services.patch_route(ctx, &key, &wanted, &reason, &|_| {
                noted(format!("{title} is changed."))
            })
        }))
    }
}

/// An operator with a runbook, which is longer than other forms.
pub(crate) struct Author;

impl MinRole for Author {
    const ROLE: Role = Role::Operator;
    /// The largest runbook, as browsers encode it at the worst.
    const LARGEST_BODY: usize = 3 * LARGEST_RUNBOOK + 16 * 1024;
}

/// The runbook that is kept here.
pub(crate) struct WriteRunbook;

impl Form for WriteRunbook {
    type Role = Author;
    type On = OnRoute;

    const SLUG: &'static str = "runbook";
    const TITLE: &'static str = "Write the runbook";
    const MEANS: &'static str = "What to do when it goes wrong, in Markdown. It must name the flag, and how to turn it off.";
    const IS_TRIED: bool = false;

    fn first(scene: &OnRoute) -> Fields {
        if let Some(kept) = &scene.runbook {
            return Fields::default().with("text", kept.runbook.text.clone());
        }
        let (key, flag) = (scene.route(), &scene.found.route.spec.flag);
        let text =
            format!("# {flag}\n\nTo turn it off: `switchover halt {key} production --reason …`\n");
        Fields::default().with("text", text)
    }

    fn controls(scene: &OnRoute, _: &Services) -> Result<Vec<Control>, Failure> {
        let hint = match &scene.runbook {
            None => "None is kept here yet; this is where one may begin.".to_owned(),
            Some(view) if view.lacks.is_empty() => "It replaces the one that is kept.".to_owned(),
            Some(view) => format!("The one that is kept lacks: {}.", view.lacks.join("; ")),
        };
        Ok(vec![
            Control::area("text", "Runbook").hint(hint),
            Control::reason(),
        ])
    }

    fn order(scene: &OnRoute, fields: &Fields) -> Result<Order, Failure> {
        let reason = read_reason(fields.get("reason"))?;
        let text = fields.get("text").to_owned();
        let (key, title) = (scene.route().clone(), scene.title());
        Ok(deed(move |services, ctx| {
            services.put_runbook(ctx, &key, &text, &reason, &|_| {
                noted(format!("{title}: the runbook is kept."))
            })
        }))
    }
}

/// The end of a route.
pub(crate) struct Retire;

impl Form for Retire {
    type Role = Maintainer;
    type On = OnRoute;

    const SLUG: &'static str = "retire";
    const TITLE: &'static str = "Retire";
    const MEANS: &'static str = "Final: it stays published as mandatory for ever, and its key and flag are never used again. \
                                 Only when no code asks for it any more.";
    const IS_DANGER: bool = true;
    const IS_TRIED: bool = false;
    const IS_VOUCHED: bool = true;
    const IS_TAGGED: bool = true;

    fn first(_: &OnRoute) -> Fields {
        Fields::default()
    }

    fn controls(scene: &OnRoute, _: &Services) -> Result<Vec<Control>, Failure> {
        let mut controls = vec![Control::reason()];
        if scene.is_admin {
            controls.push(Control::tick("break_glass", "Break the glass").hint(
                "Retires it though no scan of the code shows that it is gone. The record shows it, and who did it.",
            ));
        }
        Ok(controls)
    }

    fn order(scene: &OnRoute, fields: &Fields) -> Result<Order, Failure> {
        let (reason, break_glass) = Said::of(fields)
            .text("reason")
            .tick("break_glass")
            .read::<RetirementBody>()?
            .read()?;
        let (key, title) = (scene.route().clone(), scene.title());
        Ok(deed(move |services, ctx| {
            let how = (&reason, break_glass);
            services.retire_route(ctx, &key, how, &|_| noted(format!("{title} is retired.")))
        }))
    }
}
