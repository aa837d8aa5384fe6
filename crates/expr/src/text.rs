//! Text: parts counted in characters (code points), patterns of LIKE.

/// The bytes of `SUBSTRING(text FROM from FOR count)`. The first character is 1, a negative `from` counts from
/// the end, a negative `count` takes the characters before `from`.
pub(crate) fn substring(text: &str, from: i64, count: i64) -> (usize, usize) {
    let length = text.chars().count() as i64;
    // In 128 bits no sum of two 64-bit numbers overflows.
    let start = i128::from(if from < 0 { from.saturating_add(length) } else { from.saturating_sub(1) });
    let end = start + i128::from(count);
    characters(text, start.min(end), start.max(end))
}

/// The bytes of the first `count` characters, or of all but the last `-count`.
pub(crate) fn left(text: &str, count: i64, _: i64) -> (usize, usize) {
    let length = if count < 0 { text.chars().count() as i128 } else { 0 };
    characters(text, 0, length + i128::from(count))
}

/// The bytes of the last `count` characters, or of all but the first `-count`.
pub(crate) fn right(text: &str, count: i64, _: i64) -> (usize, usize) {
    let length = text.chars().count() as i128;
    let start = if count < 0 { -i128::from(count) } else { length - i128::from(count) };
    characters(text, start, length)
}

fn characters(text: &str, start: i128, end: i128) -> (usize, usize) {
    let byte = |character: i128| match usize::try_from(character) {
        Ok(n) => text.char_indices().nth(n).map_or(text.len(), |(byte, _)| byte),
        Err(_) if character < 0 => 0,
        Err(_) => text.len(),
    };
    let start = byte(start);
    (start, byte(end).max(start))
}

/// The bytes that stay when the characters of `set` are taken from both ends.
pub(crate) fn trim(text: &str, set: &str) -> (usize, usize) {
    let (start, _) = trim_start(text, set);
    let (_, end) = trim_end(&text[start..], set);
    (start, start + end)
}

/// The bytes that stay when the characters of `set` are taken from the start.
pub(crate) fn trim_start(text: &str, set: &str) -> (usize, usize) {
    (text.len() - text.trim_start_matches(|c| set.contains(c)).len(), text.len())
}

/// The bytes that stay when the characters of `set` are taken from the end.
pub(crate) fn trim_end(text: &str, set: &str) -> (usize, usize) {
    (0, text.trim_end_matches(|c| set.contains(c)).len())
}

/// How many characters.
pub(crate) fn length(text: &str) -> Option<i64> {
    i64::try_from(text.chars().count()).ok()
}

/// Where `part` begins in `text`, counted in characters from one; zero if it does not occur.
pub(crate) fn position(text: &str, part: &str) -> i64 {
    text.find(part).map_or(0, |byte| 1 + text[..byte].chars().count() as i64)
}

pub(crate) fn starts_with(text: &str, part: &str) -> bool {
    text.starts_with(part)
}

pub(crate) fn ends_with(text: &str, part: &str) -> bool {
    text.ends_with(part)
}

pub(crate) fn contains(text: &str, part: &str) -> bool {
    text.contains(part)
}

/// A pattern of LIKE.
#[derive(Debug)]
pub(crate) struct Pattern(Vec<Piece>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// Any characters, or none.
    Any,
    /// One character.
    One,
    This(char),
}

impl Pattern {
    /// `%` is any text, `_` one character; what follows `escape` stands for itself. Nothing if the escape
    /// stands last.
    pub(crate) fn parse(pattern: &str, escape: Option<char>) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut characters = pattern.chars();
        while let Some(c) = characters.next() {
            let piece = match c {
                c if Some(c) == escape => Piece::This(characters.next()?),
                '%' => Piece::Any,
                '_' => Piece::One,
                c => Piece::This(c),
            };
            pieces.push(piece);
        }
        Some(Self(pieces))
    }

    /// Whether the whole text fits. At most pattern times text steps.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let mut rest = text.chars();
        let mut next = 0;
        // Where to go on after a mismatch: behind the last `%`, which then takes one character more.
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let mut after = rest.clone();
            match (self.0.get(next), after.next()) {
                (Some(Piece::Any), _) => {
                    next += 1;
                    retry = Some((next, rest.clone()));
                    continue;
                }
                (None, None) => return true,
                (Some(Piece::One), Some(_)) => {
                    next += 1;
                    rest = after;
                    continue;
                }
                (Some(Piece::This(wanted)), Some(found)) if *wanted == found => {
                    next += 1;
                    rest = after;
                    continue;
                }
                (Some(Piece::One | Piece::This(_)) | None, _) => {}
            }
            let Some((behind, from)) = &mut retry else { return false };
            if from.next().is_none() {
                return false;
            }
            next = *behind;
            rest = from.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(text: &str, pattern: &str) -> bool {
        Pattern::parse(pattern, None).unwrap().matches(text)
    }

    #[test]
    fn percent_takes_as_much_as_the_rest_of_the_pattern_leaves() {
        assert!(like("abcabc", "%bc"));
        assert!(like("", "%"));
        assert!(like("aXbXc", "a%b%c"));
        assert!(!like("abcab", "%bc"));
        assert!(!like("", "_"));
        assert!(like("日本", "__"));
    }

    #[test]
    fn an_escape_at_the_end_is_no_pattern() {
        assert!(Pattern::parse("a!", Some('!')).is_none());
        assert!(Pattern::parse("100!%", Some('!')).unwrap().matches("100%"));
    }

    #[test]
    fn parts_at_the_limits_of_int64_are_empty_or_all() {
        for (from, count) in [(i64::MIN, i64::MIN), (i64::MAX, i64::MAX), (i64::MIN, i64::MAX), (0, i64::MIN)]
        {
            let (start, end) = substring("héllo", from, count);
            assert!(start <= end && "héllo".get(start..end).is_some());
        }
        assert_eq!(left("héllo", i64::MAX, 0), (0, 6));
        assert_eq!(right("héllo", i64::MIN, 0), (6, 6));
    }
}
