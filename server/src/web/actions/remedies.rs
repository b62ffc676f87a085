//! Where something can be done, on the page, about a gate that does not pass.

use crate::domain::environment::EnvironmentKey;
use crate::service::Target;
use crate::web::actions::offers::address;

/// The form that helps, by what it is called and where it is; `None` where only time, callers or
/// somebody elsewhere helps.
pub(crate) fn remedy_form(
    gate: &str,
    remedy: &str,
    target: &Target,
) -> Option<(&'static str, String)> {
    let (here, route) = (address(target), &target.route);
    let at = |name, slug: &str| Some((name, format!("{here}/{slug}")));
    let of_route = |name, slug: &str| Some((name, format!("/routes/{route}/{slug}")));
    match gate {
        "acceptance" => Some(("Add evidence", evidence(remedy, target))),
        "approval" => at("Approve", "approve"),
        "rollback_drill" => at("Halt it, for the drill", "halt"),
        "repairs" => at("See to the repairs", "repairs"),
        "runbook" => of_route("Write the runbook", "runbook"),
        "dashboard" | "alert" => of_route("Set the link", "edit"),
        "plan" => of_route("Tick the plan's steps", "plan"),
        "external" => of_route("Confirm it", "confirm"),
        "incident" => Some(("See the open freezes", "/environments".to_owned())),
        "release" => Some(("Freeze a release", "/releases".to_owned())),
        _ => None,
    }
}

/// Acceptance tests are for every hosted environment. The remedy is a command that names the one whose
/// turn it is, and of which kind the evidence has to be.
fn evidence(remedy: &str, target: &Target) -> String {
    let named = remedy.split_once("evidence add ").and_then(|(_, command)| {
        let mut words = command.split_whitespace().skip(1);
        let environment: EnvironmentKey = words.next()?.parse().ok()?;
        let kind = words.skip_while(|word| *word != "--kind").nth(1)?;
        Some((environment, kind.to_owned()))
    });
    match named {
        Some((environment, kind)) => {
            let place = Target {
                environment,
                ..target.clone()
            };
            format!("{}/evidence?kind={kind}", address(&place))
        }
        None => format!("{}/evidence", address(target)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_asked_for_where_it_is_lacking() {
        let target = Target {
            route: "find".parse().unwrap(),
            environment: "production".parse().unwrap(),
        };
        let remedy = "test it there, then: switchover evidence add find staging --kind resources \
                      --verdict pass --summary …";
        let (_, form) = remedy_form("acceptance", remedy, &target).unwrap();
        assert_eq!(
            form,
            "/routes/find/environments/staging/evidence?kind=resources"
        );
        let (_, form) = remedy_form("acceptance", "", &target).unwrap();
        assert_eq!(form, "/routes/find/environments/production/evidence");
        assert_eq!(remedy_form("soak", "", &target), None);
    }
}
