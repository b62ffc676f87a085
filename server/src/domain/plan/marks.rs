//! A plan's text with the present state of its steps: every other byte as it was written.

use super::document::{Document, Step};

/// What is to be changed in the text: what stands from one place to another, by something else.
struct Edit {
    from: usize,
    to: usize,
    text: String,
}

/// The text, with the steps marked as `done` says.
pub(super) fn render(document: &Document, done: impl Fn(&Step) -> bool) -> String {
    let source = document.source();
    let mut edits = Vec::new();
    for step in document.steps() {
        match (step.done, done(step)) {
            (false, true) => edits.push(tick(source, step)),
            (true, false) => edits.extend(untick(source, step)),
            _ => {}
        }
    }
    edits.sort_by_key(|edit| edit.from);
    let mut text = String::with_capacity(source.len() + 4 * edits.len());
    let mut at = 0;
    for edit in edits {
        text.push_str(source.get(at..edit.from).unwrap_or_default());
        text.push_str(&edit.text);
        at = edit.to;
    }
    text.push_str(source.get(at..).unwrap_or_default());
    text
}

fn tick(source: &str, step: &Step) -> Edit {
    let mark = &step.mark;
    if let Some(at) = mark.checkbox {
        return replace(at, at + 1, "x");
    }
    let marker = source.get(mark.marker..).unwrap_or_default();
    let behind_marker = mark.marker + marker.find(char::is_whitespace).unwrap_or(marker.len());
    let Some((content, running)) = mark.content else {
        return replace(behind_marker, behind_marker, " [x]");
    };
    let between = source.get(mark.marker..content).unwrap_or_default();
    if between.contains('\n') {
        replace(behind_marker, behind_marker, " [x]")
    } else if running {
        replace(content, content, "[x] ")
    } else {
        // Code on the line of the bullet: it moves to the next, below where it stood.
        let line = source.get(..content).unwrap_or_default();
        let line = line.get(line.rfind('\n').map_or(0, |end| end + 1)..);
        let below = line.unwrap_or_default().chars().map(|c| match c {
            '>' | '\t' => c,
            _ => ' ',
        });
        replace(
            content,
            content,
            format!("[x]\n{}", below.collect::<String>()),
        )
    }
}

fn untick(source: &str, step: &Step) -> Vec<Edit> {
    let mut edits = Vec::new();
    if let Some(at) = step.mark.checkbox {
        edits.push(replace(at, at + 1, " "));
    }
    for strike in &step.mark.strikes {
        let struck = source.get(strike.clone()).unwrap_or_default();
        let tildes = if struck.starts_with("~~") { 2 } else { 1 };
        edits.push(replace(strike.start, strike.start + tildes, ""));
        edits.push(replace(strike.end - tildes, strike.end, ""));
    }
    edits
}

fn replace(from: usize, to: usize, text: impl Into<String>) -> Edit {
    Edit {
        from,
        to,
        text: text.into(),
    }
}
