//! Somebody with a browser that runs no script: keeps the cookie, reads a form out of a page, fills in
//! some of its fields and sends it.

use crate::support::{App, Reply, Who, encoded};

pub(super) struct Person<'a> {
    app: &'a App,
    cookie: String,
}

/// A form as a page has it.
#[derive(Clone, Debug)]
pub(super) struct Filled {
    pub(super) action: String,
    fields: Vec<(String, String)>,
}

impl<'a> Person<'a> {
    pub(super) fn signed_in(app: &'a App, who: Who) -> Person<'a> {
        let token = who.token();
        let body = encoded(&[("token", token.as_str()), ("next", "/")]);
        let reply = app
            .request("POST", "/sign-in")
            .header("content-type", FORM)
            .body(body)
            .send()
            .expect(303);
        let cookies = reply.headers.get_all("set-cookie").iter();
        let mut cookies = cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
        let session = cookies.rfind(|cookie| cookie.starts_with("switchover_session="));
        Person {
            app,
            cookie: session.expect("a session").to_owned(),
        }
    }

    pub(super) fn get(&self, path: &str) -> Reply {
        self.app
            .request("GET", path)
            .header("cookie", &self.cookie)
            .send()
    }

    /// The form of a page, as it is first shown.
    pub(super) fn form(&self, path: &str) -> Filled {
        Filled::of(&self.get(path).expect(200))
    }

    pub(super) fn send(&self, form: &Filled) -> Reply {
        self.send_from(form, None)
    }

    pub(super) fn send_from(&self, form: &Filled, origin: Option<&str>) -> Reply {
        let mut request = self
            .app
            .request("POST", &form.action)
            .header("cookie", &self.cookie)
            .header("content-type", FORM);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let fields = form.fields.iter();
        let fields = fields.map(|(name, value)| (name.as_str(), value.as_str()));
        let fields: Vec<(&str, &str)> = fields.collect();
        request.body(encoded(&fields)).send()
    }

    /// Fills a form in, looks at what it would do, and does it.
    pub(super) fn does(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let form = fields.iter().fold(self.form(path), |form, (name, value)| {
            form.with(name, value)
        });
        let shown = self.send(&form.with("step", "preview")).expect(200);
        let shown = Filled::of(&shown);
        let typed = shown.has("confirm");
        let shown = match typed {
            true => {
                let route = path.split('/').nth(2).unwrap();
                shown.with("confirm", route)
            }
            false => shown,
        };
        self.send(&shown.with("step", "apply"))
    }

    /// Fills a form in that is done at once.
    pub(super) fn does_at_once(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let form = fields.iter().fold(self.form(path), |form, (name, value)| {
            form.with(name, value)
        });
        self.send(&form.with("step", "apply"))
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

impl Filled {
    /// The form with the identity `action`, with what a browser would send of it.
    pub(super) fn of(page: &Reply) -> Filled {
        let html = &page.body;
        let begin = html
            .match_indices("<form")
            .map(|(at, _)| &html[at..])
            .find(|form| form[..form.find('>').unwrap()].contains("id=\"action\""))
            .unwrap_or_else(|| panic!("no form: {html}"));
        let form = &begin[..begin.find("</form>").unwrap()];
        let head = &form[..form.find('>').unwrap()];
        let mut fields = Vec::new();
        for (at, _) in form.match_indices('<') {
            let rest = &form[at..];
            let tag = &rest[..rest.find('>').unwrap_or(rest.len())];
            let Some(name) = attribute(tag, "name") else {
                continue;
            };
            let inner = |end: &str| &rest[tag.len() + 1..rest.find(end).unwrap()];
            if tag.starts_with("<textarea") {
                let text = inner("</textarea>");
                fields.push((name, unescaped(text.strip_prefix('\n').unwrap_or(text))));
            } else if tag.starts_with("<select") {
                let options: Vec<&str> = inner("</select>").split("<option").skip(1).collect();
                let chosen = options.iter().find(|option| option.contains(" selected"));
                if let Some(option) = chosen.or(options.first()) {
                    fields.push((name, attribute(option, "value").unwrap_or_default()));
                }
            } else if tag.starts_with("<input") {
                let ticked = !tag.contains("type=\"checkbox\"") || tag.contains(" checked");
                if ticked {
                    fields.push((name, attribute(tag, "value").unwrap_or_default()));
                }
            }
        }
        Filled {
            action: attribute(head, "action").unwrap(),
            fields,
        }
    }

    pub(super) fn with(&self, name: &str, value: &str) -> Filled {
        let mut form = self.without(name);
        form.fields.push((name.to_owned(), value.to_owned()));
        form
    }

    pub(super) fn without(&self, name: &str) -> Filled {
        let mut form = self.clone();
        form.fields.retain(|(field, _)| field != name);
        form
    }

    pub(super) fn get(&self, name: &str) -> &str {
        let field = self.fields.iter().find(|(field, _)| field == name);
        field.map_or("", |(_, value)| value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| field == name)
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let begin = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    let value = &tag[begin..];
    Some(unescaped(&value[..value.find('"')?]))
}

fn unescaped(text: &str) -> String {
    [
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#38;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (escape, plain)| {
        text.replace(escape, plain)
    })
}
