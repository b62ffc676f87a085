//! What a call is about: the project, account or user that a ramp keeps on one path.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

/// A call's key, as text.
///
/// Implemented for text, for all integers (which hash as their decimal text), for `()` (no key) and
/// for options of these. Implement it for your own identifiers by handing on their text.
pub trait Key {
    /// Calls `f` with the key's text, or with `None` for a call that is about nothing in particular.
    fn with<R>(&self, f: impl FnOnce(Option<&str>) -> R) -> R;
}

impl Key for str {
    #[inline]
    fn with<R>(&self, f: impl FnOnce(Option<&str>) -> R) -> R {
        f(Some(self))
    }
}

impl Key for () {
    #[inline]
    fn with<R>(&self, f: impl FnOnce(Option<&str>) -> R) -> R {
        f(None)
    }
}

impl<K: Key> Key for Option<K> {
    #[inline]
    fn with<R>(&self, f: impl FnOnce(Option<&str>) -> R) -> R {
        match self {
            Some(key) => key.with(f),
            None => f(None),
        }
    }
}

impl<K: Key + ?Sized> Key for &K {
    #[inline]
    fn with<R>(&self, f: impl FnOnce(Option<&str>) -> R) -> R {
        (**self).with(f)
    }
}

macro_rules! text {
    ($($text:ty),*) => {$(
        impl Key for $text {
            #[inline]
            fn with<R>(&self, f: impl FnOnce(Option<&str>) -> R) -> R {
                f(Some(self))
            }
        }
    )*};
}

text!(String, Box<str>, Rc<str>, Arc<str>, Cow<'_, str>);

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl Key for $integer {
            #[inline]
            fn with<R>(&self, f: impl FnOnce(Option<&str>) -> R) -> R {
                f(Some(itoa::Buffer::new().format(*self)))
            }
        }
    )*};
}

integers!(
    i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize
);

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: impl Key) -> Option<String> {
        key.with(|key| key.map(str::to_owned))
    }

    #[test]
    fn every_kind_of_key_is_its_text() {
        assert_eq!(text("a"), Some("a".to_owned()));
        assert_eq!(text(String::from("a")), Some("a".to_owned()));
        let owned = String::from("a");
        assert_eq!(text(&owned), Some("a".to_owned()));
        assert_eq!(text(i128::MIN), Some(i128::MIN.to_string()));
        assert_eq!(text(u128::MAX), Some(u128::MAX.to_string()));
        assert_eq!(text(Some(&-7_i64)), Some("-7".to_owned()));
        assert_eq!(text(()), None);
        assert_eq!(text(None::<u64>), None);
    }
}
