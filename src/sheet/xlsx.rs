//! A book as a workbook for LibreOffice and Excel: a cover to sign, then a tab for each table.
//!
//! Every cell is written as text, never as a formula. The same book gives the same bytes: no time of making is in it.

use std::collections::BTreeSet;

use rust_xlsxwriter::{
    Color, DocProperties, ExcelDateTime, Format, FormatAlign, FormatBorder, IgnoreError, Workbook, Worksheet, XlsxError,
};

use super::{Book, Cell, Kind, Mark, Tab};

const BLUE: u32 = 0x001f_3a5f;
const A4: u8 = 9;
/// The columns of the cover.
const COVER: [f64; 4] = [32.0, 44.0, 44.0, 20.0];

pub(super) fn workbook(book: &Book) -> Result<Vec<u8>, XlsxError> {
    let looks = Looks::new();
    let mut workbook = Workbook::new();
    let never = ExcelDateTime::from_ymd(2000, 1, 1)?;
    workbook.set_properties(&DocProperties::new().set_title(&book.title).set_subject(&book.footer).set_creation_datetime(&never));
    cover(workbook.add_worksheet(), book, &looks)?;
    let mut names = BTreeSet::from(["cover".to_owned()]);
    for tab in &book.tabs {
        table(workbook.add_worksheet(), tab, &name(&tab.name, &mut names), book, &looks)?;
    }
    workbook.save_to_buffer()
}

struct Looks {
    title: Format,
    text: Format,
    heading: Format,
    plain: Format,
    name: Format,
    loud: Format,
    added: Format,
    removed: Format,
    changed: Format,
}

impl Looks {
    fn new() -> Self {
        let text = Format::new().set_text_wrap().set_align(FormatAlign::Top).set_num_format("@");
        let plain = text.clone().set_border(FormatBorder::Thin).set_border_color(Color::RGB(0x009a_a5b1));
        let dark = |format: Format| format.set_bold().set_font_color(Color::White);
        Self {
            title: Format::new().set_bold().set_font_size(18),
            heading: dark(plain.clone()).set_background_color(Color::RGB(BLUE)),
            name: plain.clone().set_bold().set_background_color(Color::RGB(0x00e8_edf3)),
            loud: dark(plain.clone()).set_background_color(Color::RGB(0x00b0_0020)),
            added: plain.clone().set_background_color(Color::RGB(0x00d7_f0d7)),
            removed: plain.clone().set_background_color(Color::RGB(0x00f7_d7d7)).set_font_strikethrough(),
            changed: plain.clone().set_background_color(Color::RGB(0x00ff_f2a8)),
            plain,
            text,
        }
    }

    const fn of(&self, mark: Mark, cell: &Cell) -> &Format {
        match mark {
            Mark::Loud => &self.loud,
            Mark::Added => &self.added,
            Mark::Removed => &self.removed,
            Mark::Plain if cell.was.is_some() => &self.changed,
            Mark::Plain => &self.plain,
        }
    }
}

/// Landscape, as wide as the page, with what it is and the number of the page on each.
fn printed(sheet: &mut Worksheet, book: &Book) {
    // In a footer `&` begins a code.
    let footer = book.footer.replace('&', "&&");
    sheet.set_landscape().set_paper_size(A4).set_margins(0.4, 0.4, 0.5, 0.6, 0.3, 0.3);
    sheet.set_print_fit_to_pages(1, 0).set_footer(format!("&L{footer}&R&A, page &P of &N"));
}

fn cover(sheet: &mut Worksheet, book: &Book, looks: &Looks) -> Result<(), XlsxError> {
    sheet.set_name("Cover")?;
    printed(sheet, book);
    sheet.set_screen_gridlines(false);
    for (column, width) in (0..).zip(COVER) {
        sheet.set_column_width(column, width)?;
    }
    sheet.write_string_with_format(0, 0, &book.title, &looks.title)?;
    let mut row = 2;
    let across: f64 = COVER[1..].iter().sum();
    for (name, value) in &book.facts {
        sheet.write_string_with_format(row, 0, name, &looks.name)?;
        sheet.merge_range(row, 1, row, 3, value, &looks.plain)?;
        sheet.set_row_height(row, height(value, across))?;
        row += 1;
    }
    row += 1;
    let across: f64 = COVER.iter().sum();
    for note in book.notes.iter().chain([&book.declaration]) {
        sheet.merge_range(row, 0, row, 3, note, &looks.text)?;
        sheet.set_row_height(row, height(note, across))?;
        row += 1;
    }
    row += 1;
    for (column, heading) in (0..).zip(["Role", "Name", "Signature", "Date"]) {
        sheet.write_string_with_format(row, column, heading, &looks.heading)?;
    }
    for signer in &book.signers {
        row += 1;
        sheet.write_string_with_format(row, 0, *signer, &looks.plain)?;
        for column in 1..4 {
            sheet.write_string_with_format(row, column, "", &looks.plain)?;
        }
        sheet.set_row_height(row, 34)?;
    }
    Ok(())
}

fn table(sheet: &mut Worksheet, tab: &Tab, name: &str, book: &Book, looks: &Looks) -> Result<(), XlsxError> {
    sheet.set_name(name)?;
    printed(sheet, book);
    if tab.kind == Kind::Changes
        || tab.rows.iter().any(|row| row.mark != Mark::Plain || row.cells.iter().any(|cell| cell.was.is_some()))
    {
        sheet.set_tab_color(Color::RGB(0x00b0_0020));
    }
    let last = u16::try_from(tab.columns.len().saturating_sub(1)).unwrap_or(u16::MAX);
    let across: f64 = tab.columns.iter().map(|column| f64::from(column.width)).sum();
    sheet.write_string_with_format(0, 0, &tab.name, &looks.title)?;
    sheet.merge_range(1, 0, 1, last, &tab.note, &looks.text)?;
    sheet.set_row_height(1, height(&tab.note, across))?;
    for (at, column) in (0..).zip(&tab.columns) {
        sheet.set_column_width(at, column.width)?;
        sheet.write_string_with_format(2, at, &column.heading, &looks.heading)?;
    }
    let mut row = 2;
    for said in &tab.rows {
        row += 1;
        let mut tallest: f64 = 0.0;
        for ((at, column), cell) in (0..).zip(&tab.columns).zip(&said.cells) {
            let text = cell.with_was();
            tallest = tallest.max(height(&text, f64::from(column.width)));
            sheet.write_string_with_format(row, at, text, looks.of(said.mark, cell))?;
        }
        sheet.set_row_height(row, tallest)?;
    }
    sheet.set_repeat_rows(2, 2)?.set_freeze_panes(3, 0)?.autofilter(2, 0, row, last)?;
    // A code of digits is a text, and no mistake.
    sheet.ignore_error_range(3, 0, row.max(3), last, IgnoreError::NumberStoredAsText)?;
    Ok(())
}

/// How high a row must be for a text in so many characters, in points. A spreadsheet does not measure merged cells, and Excel
/// does not measure at all before somebody touches the row.
fn height(text: &str, width: f64) -> f64 {
    const LINE: f64 = 15.0;
    const HIGHEST: f64 = 409.0;
    let lines: f64 = text.split('\n').map(|line| lines(line, width)).sum();
    (lines * LINE + 2.0).min(HIGHEST)
}

/// How many lines a text takes when words are kept whole.
fn lines(text: &str, width: f64) -> f64 {
    // Letters are a little narrower than digits, of which a width is counted; some room is left for those that are not.
    let width = width.max(4.0);
    let (mut lines, mut filled) = (1.0, 0.0);
    for word in text.split(' ') {
        let long = f64::from(u32::try_from(word.chars().count()).unwrap_or(u32::MAX));
        if filled > 0.0 && filled + 1.0 + long > width {
            lines += 1.0;
            filled = long;
        } else {
            filled += long + f64::from(u8::from(filled > 0.0));
        }
        while filled > width {
            lines += 1.0;
            filled -= width;
        }
    }
    lines
}

/// A name that a tab may have: 31 signs, none of `[]:*?/\`, no apostrophe at an end, and like no other.
fn name(wanted: &str, taken: &mut BTreeSet<String>) -> String {
    let allowed: String = wanted.chars().map(|sign| if "[]:*?/\\".contains(sign) { ' ' } else { sign }).collect();
    let allowed = allowed.trim_matches('\'');
    let cut = |most: usize| allowed.chars().take(most).collect::<String>();
    let numbered = (2..1000).map(|number| format!("{} {number}", cut(27)));
    let mut names = [cut(31)].into_iter().chain(numbered);
    let free = names.find(|name| !taken.contains(&name.to_lowercase())).unwrap_or_else(|| cut(31));
    taken.insert(free.to_lowercase());
    free
}
