//! Random expressions and keys, the same in every run.

/// Parts of keys: letters of several cases, marks, digits, white space, and characters with a meaning in expressions.
const SIGNS: &[&str] = &[
    "a",
    "b",
    "c",
    "A",
    "B",
    "z",
    "1",
    "9",
    "_",
    ".",
    "/",
    "-",
    " ",
    "\n",
    "\t",
    "{",
    "}",
    "]",
    "[",
    "<",
    "&",
    "~",
    "|",
    ":",
    "=",
    "'",
    "\\",
    "k",
    "s",
    "i",
    "I",
    "é",
    "É",
    "ß",
    "ſ",
    "ı",
    "İ",
    "\u{212a}",
    "σ",
    "ς",
    "Σ",
    "²",
    "①",
    "٣",
    "e\u{301}",
    "\u{1c}",
    "\u{a0}",
    "\u{2028}",
    "\u{85}",
    "\u{8}",
    "日",
    "😀",
    "\u{10400}",
    "\u{10428}",
    ",",
    "2",
    "n",
    "p",
    "h",
    "R",
];

/// Expressions for single characters and positions.
const ATOMS: &[&str] = &[
    "a",
    "b",
    "c",
    "A",
    "B",
    "a",
    "b",
    ".",
    ".",
    "ab",
    "1",
    "/",
    "-",
    "_",
    " ",
    "é",
    "É",
    "ſ",
    "ı",
    "σ",
    "Σ",
    "①",
    "日",
    "\u{10400}",
    r"\d",
    r"\D",
    r"\w",
    r"\W",
    r"\s",
    r"\S",
    r"\w",
    r"\d",
    r"\b",
    r"\B",
    r"\A",
    r"\Z",
    "^",
    "$",
    "$",
    r"\.",
    r"\-",
    r"\/",
    r"\n",
    r"\t",
    "{",
    "}",
    "]",
    "<",
    "&",
    "~",
    ":",
    "=",
    "'",
    "{,}",
    "{a}",
    "#",
];

/// Constructs that other languages define differently than Python, or that Python does not have.
const ODD: &[&str] = &[
    r"\<",
    r"\>",
    r"\`",
    r"\'",
    r"\_",
    r"\ ",
    r"\é",
    r"\&",
    r"\x41",
    r"\x4",
    r"\x{41}",
    r"\u00e9",
    r"\u12",
    r"\U000000e9",
    r"\U00110000",
    r"\ud800",
    r"\N{DIGIT ONE}",
    r"\p{L}",
    r"\pL",
    r"\P{Nd}",
    r"\h",
    r"\H",
    r"\R",
    r"\K",
    r"\G",
    r"\Q",
    r"\E",
    r"\X",
    r"\z",
    r"\b{start}",
    r"\b{1}",
    r"\B{2}",
    r"\0",
    r"\07",
    r"\012",
    r"\101",
    r"\377",
    r"\400",
    r"\08",
    r"\8",
    r"\1",
    r"\2",
    r"\11",
    r"\g<1>",
    r"\g1",
    r"\k<n>",
    r"\c",
    r"\cA",
    r"\e",
    r"\a",
    r"\f",
    r"\v",
    r"\i",
    r"\y",
    r"\_",
    "[[:alpha:]]",
    "[[:^digit:]]",
    "[[a]",
    "[[a]]",
    "[a&&b]",
    "[a--b]",
    "[a--]",
    "[a~~b]",
    "[a||b]",
    "[^[:space:]]",
    r"[\w&&[^a]]",
    r"[\w--\d]",
    "[]a]",
    "[^]a]",
    "[]",
    "[^]",
    "[a-]",
    "[-a]",
    r"[\]a]",
    r"[\b]",
    r"[\B]",
    r"[\A]",
    r"[\101-\103]",
    r"[\0]",
    r"[\8]",
    r"[\w-a]",
    r"[a-\w]",
    r"[\d-]",
    r"[\x41-\x43]",
    r"[\u00e0-\u00ef]",
    r"[z-a]",
    "[a-c-e]",
    "[a-z&&[^b]]",
    "[.]",
    "[$^]",
    r"[\^a]",
    r"[\p{L}]",
    r"[\h]",
    "(?R)",
    "(?1)",
    "(?&n)",
    "(?P>n)",
    "(?P=n)",
    "(?P=m)",
    "(?|a|b)",
    "(?^a)",
    "(?U)",
    "(?i)",
    "(?s)",
    "(?x)",
    "(?J)",
    "(?-i)",
    "(*FAIL)",
    "(*UTF8)",
    "(?(1)a|b)",
    "(?(n)a|b)",
    "(?(2)a)",
    "(?(0)a)",
    "(?(1)a|b|c)",
    "(?(?=a)a|b)",
    "(?#no)",
    r"(?#a\)b)",
    "(?#",
    "(?'n'a)",
    "(?P'n'a)",
    "(?C)",
    "(?~a)",
    "**",
    "++",
    "?+",
    "*+",
    "{2}+",
    "{2}{3}",
    "{2,1}",
    "{,2}",
    "{1,2}?",
    "{0}",
    "{ 1}",
    "{1, 2}",
    "{4294967295}",
    ")",
    "(",
    "[",
    "\\",
    "()",
    "(?:)",
    "$\n",
    "$b",
    r"$\n",
    "^^",
    "$$",
    "a^b",
    "\n$",
    r"\Z\n",
];

/// Parts of sets.
const SET_PARTS: &[&str] = &[
    "a", "b", "A", "z", "1", "_", "é", "ı", "K", "s", "a-c", "A-Z", "0-9", "é-ü", "α-ω", "!-~", r"\d", r"\w", r"\s",
    r"\W", r"\D", r"\S", r"\.", r"\]", r"\-", "&&", "--", "~~", "||", "[", "[:", ":]", "^", "-", "|", "$", ".", r"\b",
    r"\n", r"\x41", r"\101", r"\u00e9", "\u{2028}", "日-本", "\u{1c}", "ſ",
];

const QUANTIFIERS: &[&str] = &[
    "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,2}", "{1,}", "{,2}", "{,}", "{1,2}?", "{2,3}", "{0}", "{0,1}",
];

/// Quantifiers of Python 3.11 and later.
const POSSESSIVE: &[&str] = &["*+", "++", "?+", "{1,2}+", "{,2}+"];

const OPENINGS: &[&str] = &[
    "(", "(", "(", "(?:", "(?:", "(?P<n>", "(?P<m>", "(?<n>", "(?=", "(?!", "(?<=", "(?<!", "(?i:", "(?-i:", "(?s:",
    "(?m:", "(?x:", "(?a:", "(?u:", "(?s-i:", "(?ai:", "(?im-sx:", "(?L:", "(?i-i:", "(?:(", "(?>",
];

const PREFIXES: &[&str] = &[
    "(?i)", "(?i)", "(?i)", "(?m)", "(?s)", "(?x)", "(?a)", "(?ai)", "(?im)", "(?ms)", "(?u)", "(?iu)", "(?L)",
    "(?au)", "(?i)(?m)",
];

/// A source of random choices: xorshift, whose seed is written in the test.
pub(super) struct Source {
    state: u64,
    /// Whether the Python of this machine knows possessive quantifiers and atomic groups.
    pub(super) knows_possessive: bool,
}

impl Source {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed, knows_possessive: true }
    }

    fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state % end as u64).expect("a small number")
    }

    fn one(&mut self, of: &[&'static str]) -> &'static str {
        of[self.below(of.len())]
    }

    /// Generates a key. It is not empty, because Python 3.14 changed `\B` for empty texts, and it does not end in `/`,
    /// because folders are skipped.
    pub(super) fn key(&mut self) -> String {
        let (from, length) = (if self.below(3) == 0 { SIGNS.len() } else { 12 }, 1 + self.below(7));
        let key: String = (0..length).map(|_| SIGNS[self.below(from)]).collect();
        if key.ends_with('/') { key + "a" } else { key }
    }

    /// Generates an expression.
    pub(super) fn expression(&mut self) -> String {
        let prefix = if self.below(3) == 0 { self.one(PREFIXES) } else { "" };
        format!("{prefix}{}", self.alternatives(0))
    }

    fn alternatives(&mut self, depth: usize) -> String {
        let count = if self.below(4) == 0 { 2 + self.below(2) } else { 1 };
        (0..count).map(|_| self.sequence(depth)).collect::<Vec<_>>().join("|")
    }

    fn sequence(&mut self, depth: usize) -> String {
        (0..1 + self.below(4)).map(|_| self.repeated(depth)).collect()
    }

    fn repeated(&mut self, depth: usize) -> String {
        let atom = self.atom(depth);
        match self.below(10) {
            0..=2 => format!("{atom}{}", self.one(QUANTIFIERS)),
            3 if self.knows_possessive && self.below(3) == 0 => format!("{atom}{}", self.one(POSSESSIVE)),
            _ => atom,
        }
    }

    fn atom(&mut self, depth: usize) -> String {
        match self.below(20) {
            0 => self.one(ODD).to_owned(),
            1 => format!(r"\{}", 1 + self.below(3)),
            2..=4 => self.set(),
            5..=8 if depth < 3 => self.group(depth),
            _ => self.one(ATOMS).to_owned(),
        }
    }

    fn set(&mut self) -> String {
        let negative = if self.below(4) == 0 { "^" } else { "" };
        let parts: String = (0..1 + self.below(3)).map(|_| self.one(SET_PARTS)).collect();
        format!("[{negative}{parts}]")
    }

    fn group(&mut self, depth: usize) -> String {
        if self.below(10) == 0 {
            let (yes, no) = (self.sequence(depth + 1), self.sequence(depth + 1));
            return format!("({})?(?(1){yes}|{no})", self.one(ATOMS));
        }
        let opening = loop {
            let opening = self.one(OPENINGS);
            if opening != "(?>" || self.knows_possessive {
                break opening;
            }
        };
        let ends = opening.matches('(').count();
        format!("{opening}{}{}", self.alternatives(depth + 1), ")".repeat(ends))
    }
}

/// Each odd construct alone, after a letter, in a group and with flags.
pub(super) fn odd() -> impl Iterator<Item = String> {
    const AROUND: &[&str] = &["@", "a@", "@b", "(@)", "(a)@", "(?P<n>a)@", "(?i)@", "(?:@)+", "a@$", "[a@]"];
    ODD.iter().flat_map(|odd| AROUND.iter().map(|around| around.replace('@', odd)))
}
