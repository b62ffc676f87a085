//! A form that was sent: by whom, under which conditions, and what stands in its fields.

use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::{FromRequest, HttpRequest};
use sha2::{Digest as _, Sha256};

use crate::domain::approval::hex;
use crate::http::error::{Code, Problem};
use crate::http::extract::{MinRole, read_body};
use crate::service::Ctx;
use crate::store::IdempotencyKey;
use crate::web::Trouble;
use crate::web::session::{Session, refuse_foreign, signed};

/// What a form is, by name and by type.
pub(crate) const FORM: (&str, &str) = ("a form", "application/x-www-form-urlencoded");

/// The fields of a form, as they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads a form. Line ends are those of a form, and become those of everything else.
    pub(crate) fn read(body: &[u8]) -> Fields {
        let pairs = form_urlencoded::parse(body);
        Fields(
            pairs
                .map(|(name, value)| (name.into_owned(), value.replace("\r\n", "\n")))
                .collect(),
        )
    }

    /// What stands in a field, without the blanks around it; empty where there is no such field.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// The same, where it is not empty.
    pub(crate) fn some(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|value| !value.is_empty())
    }

    /// What stands in every field of this name.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(field, _)| field == name);
        named.map(|(_, value)| value.trim())
    }

    /// Whether a box is ticked.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.some(name).is_some()
    }

    /// The lines of a field that are not empty, with the blanks around them: a key may have some.
    pub(crate) fn keys(&self, name: &str) -> Vec<String> {
        let named = self.0.iter().filter(|(field, _)| field == name);
        let lines = named.flat_map(|(_, value)| value.lines());
        lines
            .filter(|line| !line.trim().is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// The lines of a field that are not empty, without the blanks around them.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let lines = self.get(name).lines().map(str::trim);
        lines
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// The same with another value of a field.
    pub(crate) fn and(mut self, name: &str, value: impl Into<String>) -> Fields {
        self.0.push((name.to_owned(), value.into()));
        self
    }

    /// The same with one field as given: what a form shows first.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Fields {
        self.0.retain(|(field, _)| field != name);
        self.0.push((name.to_owned(), value.into()));
        self
    }
}

/// A form of somebody with at least this role. The session, the role, where it was sent from and its
/// token have been checked.
pub(crate) struct Submitted<R> {
    pub(crate) session: Session,
    /// Who asks, with the tag that the form was made for (field `tag`) and the form's own name
    /// (field `once`), so that a form that is sent twice is carried out once.
    pub(crate) ctx: Ctx,
    pub(crate) fields: Fields,
    role: PhantomData<R>,
}

impl<R: MinRole> FromRequest for Submitted<R> {
    type Error = Trouble;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self, Trouble>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let session = signed::<R>(&request)?;
            refuse_foreign(&request)?;
            let body = read_body(&request, payload, FORM, R::LARGEST_BODY).await?;
            let fields = Fields::read(&body);
            if fields.get("csrf") != session.csrf {
                return Err(Trouble::from(Problem::new(
                    Code::Forbidden,
                    "the form was made for another session: go back, load the page again and send \
                     the form from there",
                )));
            }
            let once = fields.some("once").filter(|once| once.len() <= 64);
            let idempotency = once.map(|once| IdempotencyKey {
                subject: session.actor.subject.clone(),
                method: Method::POST.to_string(),
                path: request.path().to_owned(),
                key: once.to_owned(),
                body_hash: hex(&Sha256::digest(&body)),
            });
            let ctx = Ctx {
                if_match: fields.some("tag").map(|tag| vec![tag.to_owned()]),
                idempotency,
                ..Ctx::of(session.actor.clone())
            };
            Ok(Submitted {
                session,
                ctx,
                fields,
                role: PhantomData,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Fields;

    #[test]
    fn fields_are_read_as_browsers_send_them() {
        let fields = Fields::read(b"a=+1%20&b=x%0D%0A%0D%0Ay&c=&a=2&%C3%A9=%F0%9F%9A%80");
        assert_eq!(fields.get("a"), "1");
        assert_eq!(fields.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(fields.lines("b"), ["x", "y"]);
        assert_eq!(
            Fields::read(b"k=%20a%20%0D%0A%0D%0Ab").keys("k"),
            [" a ", "b"]
        );
        assert_eq!(fields.some("c"), None);
        assert_eq!(fields.get("é"), "🚀");
        assert!(!fields.is_set("d"));
        assert_eq!(fields.with("a", "3").all("a").collect::<Vec<_>>(), ["3"]);
    }
}
