//! From text to sqlparser's tree: the dialect, limits on hostile text, durations and dotted names.
//!
//! Two things differ from plain SQL and are rewritten in the tokens before parsing: a number with a unit
//! (`60d`) becomes one placeholder token, and a dotted name (`quality.value`) one quoted name.

use perennial_types::TimeSpan;
use sqlparser::ast;
use sqlparser::dialect::Dialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Word};

use crate::error::{ExprError, Place};

/// The longest text, in bytes.
const MAX_BYTES: usize = 16 * 1024;
/// The most words, numbers and signs.
const MAX_TOKENS: usize = 2_000;
/// How deep an expression may be nested; chains of AND and of OR count once.
pub(crate) const MAX_DEPTH: usize = 100;

/// Standard SQL: names in letters, digits and underscores, or in double quotes.
#[derive(Debug)]
struct Sql;

impl Dialect for Sql {
    fn is_identifier_start(&self, c: char) -> bool {
        c.is_alphabetic() || c == '_'
    }

    fn is_identifier_part(&self, c: char) -> bool {
        c.is_alphanumeric() || c == '_'
    }

    fn supports_comma_separated_trim(&self) -> bool {
        true
    }
}

/// The tree of a text that is one expression and nothing else.
pub(crate) fn parse(sql: &str) -> Result<ast::Expr, ExprError> {
    if sql.len() > MAX_BYTES {
        let message = format!("an expression of {} bytes is too long; at most {MAX_BYTES}", sql.len());
        return Err(ExprError::new(None, message));
    }
    let tokens = Tokenizer::new(&Sql, sql)
        .tokenize_with_location()
        .map_err(|error| ExprError::new(place(error.location), error.message.to_lowercase()))?;
    let tokens = rewrite(&tokens)?;
    check_size(&tokens)?;
    let mut parser = parser_of(tokens.clone());
    let tree = parser.parse_expr().map_err(refused)?;
    let next = parser.peek_token();
    match &next.token {
        Token::EOF => Ok(tree),
        token => Err(broken_case(&tokens, &next).unwrap_or_else(|| {
            let token = match token {
                Token::SemiColon => "semicolon".to_owned(),
                token => token.to_string(),
            };
            let message = format!("unexpected {token} after the end of the expression");
            ExprError::new(place(next.span.start), message)
        })),
    }
}

fn parser_of(tokens: Vec<TokenWithSpan>) -> Parser<'static> {
    Parser::new(&Sql).with_recursion_limit(2 * MAX_DEPTH).with_tokens_with_locations(tokens)
}

/// What is wrong with a CASE whose parts are not all there. The parser takes its first word for a column then, and
/// stops at the `next` one.
fn broken_case(tokens: &[TokenWithSpan], next: &TokenWithSpan) -> Option<ExprError> {
    let mut words = tokens.iter().enumerate();
    let (place, _) = words.find(|(_, token)| token.span.start == next.span.start)?;
    let before = tokens[..place].iter().rev().find(|token| !matches!(token.token, Token::Whitespace(_)))?;
    match &before.token {
        Token::Word(word) if word.keyword == Keyword::CASE => {
            parser_of(tokens[place..].to_vec()).parse_case_expr().err().map(refused)
        }
        _ => None,
    }
}

/// Where a token stands; nothing where sqlparser does not know.
pub(crate) fn place(location: Location) -> Option<Place> {
    (location.line > 0).then_some(Place { line: location.line, column: location.column })
}

/// That an expression is nested too deeply.
pub(crate) fn too_deep() -> ExprError {
    let message = format!(
        "the expression is nested more than {MAX_DEPTH} levels deep; name parts of it as columns of their own"
    );
    ExprError::new(None, message)
}

fn refused(error: ParserError) -> ExprError {
    match error {
        ParserError::RecursionLimitExceeded => too_deep(),
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
            let (what, place) = split_place(&message);
            let what = what.replacen("Expected:", "expected", 1);
            ExprError::new(place, what)
        }
    }
}

/// sqlparser writes the place behind its message: `… at Line: 1, Column: 5`.
fn split_place(message: &str) -> (&str, Option<Place>) {
    let Some((what, at)) = message.rsplit_once(" at Line: ") else { return (message, None) };
    let numbers = at.split_once(", Column: ");
    let place = numbers.and_then(|(line, column)| {
        Some(Place { line: line.parse().ok()?, column: column.trim().parse().ok()? })
    });
    (what, place)
}

fn check_size(tokens: &[TokenWithSpan]) -> Result<(), ExprError> {
    let mut depth = 0_usize;
    let mut count = 0;
    for token in tokens {
        match token.token {
            Token::Whitespace(_) => continue,
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        count += 1;
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
    }
    if count > MAX_TOKENS {
        let message = format!(
            "an expression of {count} words and signs is too long; at most {MAX_TOKENS}; \
             name parts of it as columns of their own"
        );
        return Err(ExprError::new(None, message));
    }
    Ok(())
}

fn rewrite(tokens: &[TokenWithSpan]) -> Result<Vec<TokenWithSpan>, ExprError> {
    let mut rewritten = Vec::with_capacity(tokens.len());
    let mut rest = tokens;
    while let Some((first, others)) = rest.split_first() {
        let (token, taken) = match (&first.token, others.first().map(|next| &next.token)) {
            (Token::Number(number, false), Some(Token::Word(unit))) if unit.quote_style.is_none() => {
                let text = format!("{number}{unit}");
                TimeSpan::parse(&text)
                    .map_err(|error| ExprError::new(place(first.span.start), error.to_string()))?;
                (Token::Placeholder(text), 2)
            }
            (Token::Word(word), Some(Token::Period)) => dotted_name(word, others),
            (token, _) => (token.clone(), 1),
        };
        let end = rest.get(taken - 1).map_or(first.span.end, |last| last.span.end);
        rewritten.push(TokenWithSpan { token, span: Span { start: first.span.start, end } });
        rest = rest.get(taken..).unwrap_or_default();
    }
    Ok(rewritten)
}

/// A name and the names behind its dots as one quoted name, and how many tokens that was.
fn dotted_name(first: &Word, mut rest: &[TokenWithSpan]) -> (Token, usize) {
    let mut name = first.value.clone();
    let mut taken = 1;
    while let [
        TokenWithSpan { token: Token::Period, .. },
        TokenWithSpan { token: Token::Word(word), .. },
        others @ ..,
    ] = rest
    {
        name.push('.');
        name.push_str(&word.value);
        taken += 2;
        rest = others;
    }
    if taken == 1 {
        return (Token::Word(first.clone()), 1);
    }
    (Token::Word(Word { value: name, quote_style: Some('"'), keyword: Keyword::NoKeyword }), taken)
}
