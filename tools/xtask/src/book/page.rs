//! A page of Markdown, taken apart: what the checks of the readings ask for.

use std::collections::BTreeSet;
use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A page, and what is on it, in its order.
pub(super) struct Page {
    /// From the root of the workspace.
    pub(super) path: String,
    pub(super) text: String,
    pub(super) headings: Vec<Heading>,
    pub(super) links: Vec<Link>,
    pub(super) fences: Vec<Fence>,
    /// What stands in backticks in the text.
    pub(super) codes: Vec<Code>,
    pub(super) rows: Vec<Row>,
    /// Tags of HTML, with their lines.
    pub(super) tags: Vec<(usize, String)>,
    /// Lines of HTML with backticks, which stay backticks there.
    pub(super) ticks: Vec<usize>,
}

pub(super) struct Heading {
    pub(super) level: usize,
    pub(super) text: String,
    /// What a link to it ends in, after `#`.
    pub(super) id: String,
}

pub(super) struct Link {
    pub(super) line: usize,
    pub(super) text: String,
    pub(super) to: String,
    /// In how many lists it stands.
    pub(super) depth: usize,
}

pub(super) struct Fence {
    pub(super) line: usize,
    /// The first word behind the backticks.
    pub(super) language: String,
    pub(super) text: String,
}

pub(super) struct Code {
    pub(super) line: usize,
    pub(super) text: String,
}

/// A row of a table, without the head's.
#[derive(Default)]
pub(super) struct Row {
    pub(super) line: usize,
    pub(super) cells: Vec<Cell>,
}

#[derive(Default)]
pub(super) struct Cell {
    /// Without marks.
    pub(super) text: String,
    pub(super) codes: Vec<String>,
    pub(super) links: Vec<String>,
}

impl Page {
    /// Takes a page apart as mdBook does.
    pub(super) fn read(path: &str, text: &str) -> Page {
        let mut page = Page {
            path: path.to_owned(),
            text: text.to_owned(),
            headings: Vec::new(),
            links: Vec::new(),
            fences: Vec::new(),
            codes: Vec::new(),
            rows: Vec::new(),
            tags: Vec::new(),
            ticks: Vec::new(),
        };
        let mut reader = Reader::default();
        let options = Options::ENABLE_TABLES
            | Options::ENABLE_FOOTNOTES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_TASKLISTS
            | Options::ENABLE_HEADING_ATTRIBUTES;
        for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
            reader.take(&mut page, event, &range);
        }
        page
    }

    /// Its first heading.
    pub(super) fn title(&self) -> Option<&str> {
        self.headings.first().filter(|first| first.level == 1).map(|first| first.text.as_str())
    }

    pub(super) fn has_id(&self, id: &str) -> bool {
        self.headings.iter().any(|heading| heading.id == id)
    }

    /// The folder it lies in, from the root of the workspace.
    pub(super) fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}

/// Where the reading stands.
#[derive(Default)]
struct Reader {
    ids: BTreeSet<String>,
    heading: Option<Heading>,
    link: Option<Link>,
    fence: Option<Fence>,
    row: Option<Row>,
    lists: usize,
}

impl Reader {
    fn take(&mut self, page: &mut Page, event: Event<'_>, range: &Range<usize>) {
        let line = page.text[..range.start].matches('\n').count() + 1;
        match event {
            Event::Start(Tag::Heading { level, id, .. }) => {
                let id = id.map(|id| id.to_string()).unwrap_or_default();
                self.heading = Some(Heading { level: level as usize, text: String::new(), id });
            }
            Event::End(TagEnd::Heading(_)) => {
                if let Some(mut heading) = self.heading.take() {
                    if heading.id.is_empty() {
                        heading.id = self.unique(&id_of(&heading.text));
                    }
                    page.headings.push(heading);
                }
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                let to = dest_url.to_string();
                if let Some(cell) = self.cell() {
                    cell.links.push(to.clone());
                }
                self.link = Some(Link { line, text: String::new(), to, depth: self.lists });
            }
            Event::End(TagEnd::Link | TagEnd::Image) => page.links.extend(self.link.take()),
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match kind {
                    CodeBlockKind::Fenced(info) => {
                        info.split([',', ' ']).next().unwrap_or_default().to_owned()
                    }
                    CodeBlockKind::Indented => String::new(),
                };
                self.fence = Some(Fence { line, language, text: String::new() });
            }
            Event::End(TagEnd::CodeBlock) => page.fences.extend(self.fence.take()),
            Event::Start(Tag::List(_)) => self.lists += 1,
            Event::End(TagEnd::List(_)) => self.lists -= 1,
            Event::Start(Tag::TableRow) => self.row = Some(Row { line, cells: Vec::new() }),
            Event::End(TagEnd::TableRow) => page.rows.extend(self.row.take()),
            Event::Start(Tag::TableCell) => {
                if let Some(row) = &mut self.row {
                    row.cells.push(Cell::default());
                }
            }
            Event::Text(text) => match &mut self.fence {
                Some(fence) => fence.text.push_str(&text),
                None => self.text(&text),
            },
            Event::Code(text) => {
                self.text(&text);
                if let Some(cell) = self.cell() {
                    cell.codes.push(text.to_string());
                }
                page.codes.push(Code { line, text: text.to_string() });
            }
            Event::SoftBreak | Event::HardBreak => self.text(" "),
            Event::Html(html) | Event::InlineHtml(html) => {
                page.tags.extend(tags(&html).map(|tag| (line, tag)));
                page.ticks.extend(html.contains('`').then_some(line));
            }
            _ => {}
        }
    }

    fn cell(&mut self) -> Option<&mut Cell> {
        self.row.as_mut()?.cells.last_mut()
    }

    fn text(&mut self, text: &str) {
        if let Some(heading) = &mut self.heading {
            heading.text.push_str(text);
        }
        if let Some(link) = &mut self.link {
            link.text.push_str(text);
        }
        if let Some(cell) = self.cell() {
            cell.text.push_str(text);
        }
    }

    /// The second heading with an id gets `-1` behind it, as in mdBook.
    fn unique(&mut self, id: &str) -> String {
        let mut unique = id.to_owned();
        let mut count = 0;
        while !self.ids.insert(unique.clone()) {
            count += 1;
            unique = format!("{id}-{count}");
        }
        unique
    }
}

/// The id that mdBook gives to a heading, and GitHub as well.
pub(crate) fn id_of(heading: &str) -> String {
    let kept = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c.to_ascii_lowercase()),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    };
    heading.trim().chars().filter_map(kept).collect()
}

/// The names of the tags in a piece of HTML, those that close with their slash; a comment has none.
fn tags(html: &str) -> impl Iterator<Item = String> {
    let html = if html.trim_start().starts_with("<!--") { "" } else { html };
    let names = html.split('<').skip(1);
    let end = |c: char| !(c.is_ascii_alphanumeric() || c == '/');
    names.map(move |rest| rest[..rest.find(end).unwrap_or(rest.len())].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# The `title`, of it

A [link `x`](other.md#a) and `code`.

- [one](one.md)
  - [two](two.md)

## Same
## Same
## With an id {#mine}

```rust,ignore
{{#include x.rs}}
```

| a | b |
| - | - |
| 1 | [t](p.md) `c` |

<details><summary>Q <b>x</b></summary>

</details>
<!-- <i> -->
";

    #[test]
    fn everything_on_a_page_is_found() {
        let page = Page::read("book/src/p.md", TEXT);
        assert_eq!((page.title(), page.folder()), (Some("The title, of it"), "book/src"));
        let ids: Vec<_> = page.headings.iter().map(|heading| heading.id.as_str()).collect();
        assert_eq!(ids, ["the-title-of-it", "same", "same-1", "mine"]);
        let links: Vec<_> =
            page.links.iter().map(|link| (link.line, link.depth, &*link.text, &*link.to)).collect();
        assert_eq!(links[0], (3, 0, "link x", "other.md#a"));
        assert_eq!(links[1], (5, 1, "one", "one.md"));
        assert_eq!(links[2], (6, 2, "two", "two.md"));
        let [fence] = &page.fences[..] else { panic!("one fence") };
        assert_eq!((fence.line, &*fence.language), (12, "rust"));
        assert_eq!(fence.text, "{{#include x.rs}}\n");
        let [row] = &page.rows[..] else { panic!("one row") };
        assert_eq!((row.line, &*row.cells[0].text, &*row.cells[1].text), (18, "1", "t c"));
        assert_eq!(row.cells[1].codes, ["c"]);
        assert_eq!(row.cells[1].links, ["p.md"]);
        let tags: Vec<_> = page.tags.iter().map(|(_, tag)| tag.as_str()).collect();
        assert_eq!(tags, ["details", "summary", "b", "/b", "/summary", "/details"]);
        let codes: Vec<_> = page.codes.iter().map(|code| (code.line, &*code.text)).collect();
        assert_eq!(codes[2], (3, "code"));
    }
}
