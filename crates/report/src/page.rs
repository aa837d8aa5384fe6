//! The frame of every page: escaping, the look, the document around a body.

/// The look of reports and of the service's pages: light and dark by what the reader's system prefers, and for print.
const STYLE: &str = include_str!("page.css");

/// `text` for the content of an element or a quoted attribute of HTML. Control characters, which no page may
/// contain, become replacement characters.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A whole page that needs nothing else: `title` is escaped here, `css` is added to the common look, `body` is HTML.
pub fn document(title: &str, css: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}{css}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

/// A table: its heads, and rows of cells, all of them HTML. `caption` is text.
pub fn table(caption: &str, heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut out =
        format!("<div class=\"scroll\"><table>\n<caption>{}</caption>\n<thead><tr>", escape(caption));
    for head in heads {
        out.push_str("<th scope=\"col\">");
        out.push_str(head);
        out.push_str("</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (i, cell) in row.iter().enumerate() {
            let (open, close) = if i == 0 { ("<th scope=\"row\">", "</th>") } else { ("<td>", "</td>") };
            out.push_str(open);
            out.push_str(cell);
            out.push_str(close);
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table></div>\n");
    out
}

/// What a badge says about the state of a thing. It is always said in words as well, never by colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Needs a look.
    Warning,
    /// Changed, failed or refused.
    Alarm,
    /// Neither.
    Plain,
}

impl Tone {
    /// The class of the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Alarm => "alarm",
            Self::Plain => "plain",
        }
    }
}

/// A word in a small box.
pub fn badge(tone: Tone, text: &str) -> String {
    format!("<span class=\"badge {}\">{}</span>", tone.class(), escape(text))
}

/// A row of large figures: what each is, the figure, and what explains it; all of them text.
pub fn figures(items: &[(&str, String, String)]) -> String {
    let mut out = String::from("<dl class=\"figures\">\n");
    for (name, figure, note) in items {
        let note = if note.is_empty() { String::new() } else { format!("<small>{}</small>", escape(note)) };
        out.push_str(&format!("<div><dt>{}</dt><dd>{}{note}</dd></div>\n", escape(name), escape(figure)));
    }
    out.push_str("</dl>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_html_reads_survives_escaping() {
        assert_eq!(
            escape("<a href='x' b=\"y\">&\u{0}\u{1b}</a>\n"),
            "&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;\u{fffd}\u{fffd}&lt;/a&gt;\n"
        );
    }

    #[test]
    fn a_document_escapes_its_title_and_fetches_nothing() {
        let page = document("</title><script>", "", "<p>body</p>\n");
        assert!(page.contains("<title>&lt;/title&gt;&lt;script&gt;</title>"));
        for outside in ["http:", "https:", "url(", "@import", "<script", "<link"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
