//! What comments say to Switchover: `<!-- gate: opt_in -->`, `<!-- ordered -->`, `<!-- id: backup -->`,
//! `<!-- after: backup, notice -->`. Other comments say nothing.

use switchover::Stage;

/// How many steps one may wait for.
pub const MAX_AFTER: usize = 16;
/// The longest name of a step or section, in characters.
const LONGEST_NAME: usize = 40;

/// Something said to Switchover.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Directive {
    Gate(Stage),
    Ordered,
    Id(String),
    After(Vec<String>),
}

/// What the comments in this HTML say; the errors are for people.
pub(super) fn read(html: &str) -> impl Iterator<Item = Result<Directive, String>> {
    comments(html).filter_map(|(_, comment)| one(comment?).transpose())
}

/// What stands beside the comments.
pub(super) fn without_comments(html: &str) -> String {
    comments(html).map(|(text, _)| text).collect()
}

/// A stage that a promotion leads to.
///
/// # Errors
/// When the name is of none; the text says which there are.
pub fn gate(name: &str) -> Result<Stage, String> {
    match name.parse() {
        Ok(Stage::ReadyForTesting) | Err(_) => Err(format!(
            "`{}` is no stage that a section can be bound to: name opt_in, opt_out or mandatory",
            name.chars().take(40).collect::<String>()
        )),
        Ok(stage) => Ok(stage),
    }
}

/// Whether a text can be the name of a step or section.
fn is_name(text: &str) -> bool {
    let mut letters = text.bytes();
    letters.next().is_some_and(|b| b.is_ascii_lowercase())
        && text.len() <= LONGEST_NAME
        && letters.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
}

fn one(comment: &str) -> Result<Option<Directive>, String> {
    if comment == "ordered" {
        return Ok(Some(Directive::Ordered));
    }
    let Some((key, value)) = comment.split_once(':') else {
        return Ok(None);
    };
    let value = value.trim();
    Ok(Some(match key.trim_end() {
        "gate" => Directive::Gate(gate(value)?),
        "id" if is_name(value) => Directive::Id(value.to_owned()),
        "id" => {
            return Err(format!(
                "an id is 1 to {LONGEST_NAME} lower-case letters, digits, `_` and `-`, and begins \
                 with a letter"
            ));
        }
        "after" => {
            let names = value.split(',').map(str::trim);
            let names: Vec<String> = names
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect();
            if names.is_empty() || names.len() > MAX_AFTER {
                return Err(format!("`after` names 1 to {MAX_AFTER} steps by their ids"));
            }
            Directive::After(names)
        }
        _ => return Ok(None),
    }))
}

/// Pieces of text, each with the comment that follows it.
fn comments(html: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = Some(html);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let Some((before, after)) = text.split_once("<!--") else {
            return Some((text, None));
        };
        // A comment that is not closed goes to the end.
        let (comment, after) = after.split_once("-->").unwrap_or((after, ""));
        rest = Some(after);
        Some((before, Some(comment.trim())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(html: &str) -> Vec<Result<Directive, String>> {
        read(html).collect()
    }

    #[test]
    fn comments_are_read() {
        let gate = Directive::Gate(Stage::OptIn);
        assert_eq!(all("<!-- gate: opt_in -->"), [Ok(gate)]);
        let two = all("<!--ordered--> x <!-- id: a-1_b -->");
        assert_eq!(
            two,
            [Ok(Directive::Ordered), Ok(Directive::Id("a-1_b".into()))]
        );
        let after = Directive::After(vec!["a".into(), "0f".into()]);
        assert_eq!(all("<!-- after: a, 0f -->"), [Ok(after)]);
        for nothing in [
            "",
            "<b>gate: opt_in</b>",
            "<!-- see: there -->",
            "<!-- Ordered -->",
            "<!-- orderly -->",
        ] {
            assert_eq!(all(nothing), [], "{nothing}");
        }
        for wrong in [
            "<!-- gate: opt-in -->",
            "<!-- gate: -->",
            "<!-- gate: ready_for_testing -->",
            "<!-- id: -->",
            "<!-- id: A -->",
            "<!-- id: 1a -->",
            "<!-- after: -->",
            "<!-- after: , -->",
            "<!-- gate: opt_in",
        ] {
            let closed = !wrong.ends_with("opt_in");
            assert_eq!(all(wrong).iter().all(Result::is_err), closed, "{wrong}");
        }
        assert_eq!(without_comments("a<!-- b -->c<!-- d"), "ac");
    }
}
