//! Which form each cell of a row has as a member of an object: the one that the schema wants, found by asking it.
//!
//! A cell that looks like a number is one unless the schema objects to that; then it is a string, and so for all that
//! a cell can look like. What the schema never allows in a column is remembered, so that an ordinary row is checked
//! once. Nothing else is: a row's verdict doesn't depend on the rows before it.

use std::collections::HashMap;
use std::io::Read;
use std::os::fd::AsFd;

use tapline_contract::mistyped::{Mistyped, Names};
use tapline_contract::validator::Validator;
use tapline_pipe::csv::header::Header;
use tapline_pipe::csv::object::{Form, Looks, write_object};
use tapline_pipe::csv::rows::Rows;
use tapline_pipe::reject::Rejection;

/// How often at most the schema is asked for all its errors in one row.
const MAX_ROUNDS: usize = 64;

/// How many cells at most are tried one by one where the schema names none.
const MAX_SINGLES: usize = 16;

/// How many kinds of looks there are.
const LOOKS: usize = 5;

/// What is known of the columns.
#[derive(Debug)]
pub(crate) struct Cells {
    header: Header,
    /// For each column and looks, a bit for each of the forms that the schema never allows.
    refused: Vec<[u8; LOOKS]>,
    /// Where the column of a name is.
    places: HashMap<String, usize>,
}

impl Cells {
    pub(crate) fn new(header: Header) -> Self {
        let names = header.columns().iter().enumerate();
        let places = names.filter_map(|(at, column)| Some((column.name.clone()?, at)));
        Cells {
            refused: vec![[0; LOOKS]; header.columns().len()],
            places: places.collect(),
            header,
        }
    }

    /// Writes the row that `rows` has found last as an object, as good as it can be told without asking the schema.
    pub(crate) fn write<R: Read + AsFd>(
        &self,
        rows: &Rows<R>,
        json: &mut Vec<u8>,
    ) -> Result<(), Rejection> {
        json.clear();
        let columns = self.header.columns();
        let form = |at: usize, cell: &str| {
            let looks = Looks::of(cell);
            let forms = looks.forms(&columns[at]);
            forms[usize::from(first(self.refused[at][looks as usize], forms))]
        };
        write_object(rows, &self.header, form, json)
    }

    /// Makes `json` of the row, which [`write`](Self::write) has taken, a valid object if there is one, else the
    /// one whose errors tell the most.
    pub(crate) fn write_as_wanted<R: Read + AsFd>(
        &mut self,
        rows: &Rows<R>,
        validator: &mut Validator,
        json: &mut Vec<u8>,
    ) {
        let looks: Vec<Looks> = rows
            .cells()
            .map(|cell| Looks::of(std::str::from_utf8(cell).unwrap_or_default()))
            .collect();
        let columns = self.header.columns();
        let begin: Forms = looks
            .iter()
            .enumerate()
            .map(|(at, looks)| {
                let refused = self.refused[at][*looks as usize];
                first(refused, looks.forms(&columns[at]))
            })
            .collect();
        let mut search = Search {
            cells: self,
            rows,
            looks,
            validator,
            json,
            rounds: 0,
        };
        search.rounds = search.open_cells(&begin).count().min(MAX_ROUNDS) + 1;
        let forms = match search.solve(&begin) {
            Some(forms) => forms,
            None => search.tell(&begin),
        };
        search.write(&forms);
    }
}

/// For each cell, which of its forms it has.
type Forms = Vec<u8>;

/// The best of the forms that are not refused; the best of all where all are.
#[inline]
fn first(refused: u8, forms: &[Form]) -> u8 {
    let first = refused.trailing_ones();
    match u8::try_from(first) {
        Ok(first) if usize::from(first) < forms.len() => first,
        _ => 0,
    }
}

/// The search for a row's forms.
struct Search<'a, R> {
    cells: &'a mut Cells,
    rows: &'a Rows<R>,
    looks: Vec<Looks>,
    validator: &'a mut Validator,
    json: &'a mut Vec<u8>,
    /// How often the schema may still be asked for all errors.
    rounds: usize,
}

impl<R: Read + AsFd> Search<'_, R> {
    /// The forms of a valid object, from these on.
    fn solve(&mut self, forms: &Forms) -> Option<Forms> {
        self.rounds = self.rounds.checked_sub(1)?;
        let Mistyped { ways, opaque, .. } = self.ask(forms);
        let next: Vec<Forms> = ways
            .iter()
            .filter_map(|way| self.advanced(forms, way))
            .collect();
        for forms in &next {
            if self.is_valid(forms) {
                return Some(forms.clone());
            }
        }
        if let Some(found) = next.iter().find_map(|forms| self.solve(forms)) {
            return Some(found);
        }
        opaque.then(|| self.try_others(forms)).flatten()
    }

    /// Where the schema names no cell: all in their next form, or one of them.
    fn try_others(&mut self, forms: &Forms) -> Option<Forms> {
        let open: Vec<usize> = self.open_cells(forms).collect();
        let singles = open.iter().take(MAX_SINGLES).map(std::slice::from_ref);
        for advance in singles.chain([open.as_slice()]) {
            let mut forms = forms.clone();
            for at in advance {
                forms[*at] += 1;
            }
            if self.is_valid(&forms) {
                return Some(forms);
            }
        }
        None
    }

    /// Of a row that can't be valid: each cell in the first form whose type the schema doesn't object to, or in its
    /// first if there is none.
    fn tell(&mut self, begin: &Forms) -> Forms {
        let mut forms = begin.clone();
        // A cell has at most three forms; some are asked for only when others have changed.
        for _ in 0..8 {
            let certain = self.ask(&forms).certain;
            let before = forms.clone();
            for at in self.places(&certain) {
                if self.is_open(&forms, at) {
                    forms[at] += 1;
                }
            }
            if forms == before {
                for at in self.places(&certain) {
                    forms[at] = begin[at];
                }
                break;
            }
        }
        forms
    }

    /// The forms with these members in their next ones; `None` if one has no next, or there are none.
    fn advanced(&self, forms: &Forms, names: &Names) -> Option<Forms> {
        let mut next = forms.clone();
        let mut known = 0;
        for at in self.places(names) {
            if !self.is_open(forms, at) {
                return None;
            }
            next[at] += 1;
            known += 1;
        }
        (known > 0 && known == names.len()).then_some(next)
    }

    fn places(&self, names: &Names) -> Vec<usize> {
        let place = |name: &String| self.cells.places.get(name).copied();
        names.iter().filter_map(place).collect()
    }

    fn forms_of(&self, at: usize) -> &'static [Form] {
        self.looks[at].forms(&self.cells.header.columns()[at])
    }

    fn is_open(&self, forms: &Forms, at: usize) -> bool {
        usize::from(forms[at]) + 1 < self.forms_of(at).len()
    }

    /// The cells that have a further form.
    fn open_cells(&self, forms: &Forms) -> impl Iterator<Item = usize> {
        (0..forms.len()).filter(|at| self.is_open(forms, *at))
    }

    fn write(&mut self, forms: &Forms) {
        self.json.clear();
        let columns = self.cells.header.columns();
        let looks = &self.looks;
        let form = |at: usize, _: &str| looks[at].forms(&columns[at])[usize::from(forms[at])];
        write_object(self.rows, &self.cells.header, form, self.json)
            .expect("the row was written before");
    }

    fn is_valid(&mut self, forms: &Forms) -> bool {
        self.write(forms);
        self.validator.is_valid(self.json)
    }

    /// What the schema objects to; what it never allows is remembered.
    fn ask(&mut self, forms: &Forms) -> Mistyped {
        self.write(forms);
        let mistyped = self.validator.mistyped(self.json);
        for at in self.places(&mistyped.always) {
            self.cells.refused[at][self.looks[at] as usize] |= 1 << forms[at];
        }
        mistyped
    }
}
