//! A book as one page for a browser: nothing is loaded from elsewhere, nothing runs; it prints in landscape with repeated headings.

use super::{Book, Mark, Tab};

const STYLE: &str = "\
@page { size: A4 landscape; margin: 12mm; @bottom-right { content: counter(page) \" / \" counter(pages); } }
body { font: 13px/1.4 system-ui, sans-serif; color: #1a1a1a; margin: 2em auto; max-width: 110em; padding: 0 1em; }
h1 { font-size: 1.7em; margin: 0 0 .6em; }
h2 { font-size: 1.25em; margin: 2em 0 .3em; break-after: avoid; }
table { border-collapse: collapse; width: 100%; margin: .6em 0; }
th, td { border: 1px solid #9aa5b1; padding: .35em .5em; text-align: left; vertical-align: top; white-space: pre-line; overflow-wrap: anywhere; }
th { background: #1f3a5f; color: #fff; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
.facts { width: auto; } .facts th { background: #e8edf3; color: inherit; }
.signatures td { height: 3em; }
.loud td { background: #b00020; color: #fff; font-weight: bold; }
.added td { background: #d7f0d7; }
.removed td { background: #f7d7d7; text-decoration: line-through; }
td.changed { background: #fff2a8; } td.changed del { color: #7a1f1f; }
footer { margin-top: 2em; color: #555; }
@media print { body { margin: 0; max-width: none; padding: 0; font-size: 9px; } .own-page { break-before: page; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
";

pub(super) fn page(book: &Book) -> String {
    let title = plain(&book.title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>{title}</h1>\n<table class=\"facts\">\n"
    );
    for (name, value) in &book.facts {
        page += &format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", plain(name), plain(value));
    }
    page += "</table>\n";
    for note in &book.notes {
        page += &format!("<p>{}</p>\n", plain(note));
    }
    page += &format!("<h2>Signatures</h2>\n<p>{}</p>\n<table class=\"signatures\">\n<thead><tr>", plain(&book.declaration));
    page += "<th>Role</th><th>Name</th><th>Signature</th><th>Date</th></tr></thead>\n<tbody>\n";
    for signer in &book.signers {
        page += &format!("<tr><td>{}</td><td></td><td></td><td></td></tr>\n", plain(signer));
    }
    page += "</tbody>\n</table>\n";
    for tab in &book.tabs {
        table(tab, &mut page);
    }
    page += &format!("<footer>{}</footer>\n</body>\n</html>\n", plain(&book.footer));
    page
}

fn table(tab: &Tab, page: &mut String) {
    *page += &format!("<h2 class=\"own-page\">{}</h2>\n<p>{}</p>\n<table>\n<colgroup>", plain(&tab.name), plain(&tab.note));
    let whole: u32 = tab.columns.iter().map(|column| u32::from(column.width)).sum();
    for column in &tab.columns {
        *page += &format!("<col style=\"width: {}%\">", u32::from(column.width) * 100 / whole.max(1));
    }
    *page += "</colgroup>\n<thead><tr>";
    for column in &tab.columns {
        *page += &format!("<th>{}</th>", plain(&column.heading));
    }
    *page += "</tr></thead>\n<tbody>\n";
    for row in &tab.rows {
        *page += match row.mark {
            Mark::Plain => "<tr>",
            Mark::Added => "<tr class=\"added\">",
            Mark::Removed => "<tr class=\"removed\">",
            Mark::Loud => "<tr class=\"loud\">",
        };
        for cell in &row.cells {
            *page += &match &cell.was {
                None => format!("<td>{}</td>", plain(&cell.text)),
                Some(was) if was.is_empty() => format!("<td class=\"changed\">{}\nwas: (empty)</td>", plain(&cell.text)),
                Some(was) => format!("<td class=\"changed\">{}\nwas: <del>{}</del></td>", plain(&cell.text), plain(was)),
            };
        }
        *page += "</tr>\n";
    }
    *page += "</tbody>\n</table>\n";
}

fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
