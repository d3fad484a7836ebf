//! From text to commands.

/// A word, quotes taken off; substitutions stay as they are written.
pub type Word = String;

/// A command of the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cmd {
    /// Words, and the files that are written to.
    Simple(Vec<Word>, Vec<Word>),
    /// One after the other.
    Seq(Vec<Cmd>),
    /// `a | b`.
    Pipe(Vec<Cmd>),
    /// `a && b`.
    And(Box<Cmd>, Box<Cmd>),
    /// `a || b`.
    Or(Box<Cmd>, Box<Cmd>),
    /// `! a`.
    Not(Box<Cmd>),
    /// `a &`.
    Back(Box<Cmd>),
    /// `( a )`.
    Sub(Box<Cmd>),
    /// `if a; then b; else c; fi`.
    If(Box<Cmd>, Box<Cmd>, Box<Cmd>),
    /// `while` and `until`.
    Loop {
        /// Is it `until`?
        until: bool,
        /// What is asked.
        cond: Box<Cmd>,
        /// What is done.
        body: Box<Cmd>,
    },
    /// `for`.
    For(Box<Cmd>),
    /// The branches of a `case`, and whether one of them is for everything: `*)`.
    Case(Vec<Cmd>, bool),
    /// A function and its body.
    Func(String, Box<Cmd>),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(Word, bool),
    Op(&'static str),
}

const OPS: &[&str] = &[
    "&&", "||", ";;", "<<-", "<<<", "<<", ">>", ">&", "<&", "&>", ">|", "<", ">", "|&", "&", "|", ";", "(", ")", "\n",
];

/// Reads a script. None where it is not understood.
pub fn parse(text: &str) -> Option<Cmd> {
    let tokens = lex(text, &mut Vec::new())?;
    let mut parser = Parser { tokens, at: 0, depth: 0 };
    let list = parser.list(&[])?;
    (parser.at == parser.tokens.len()).then_some(list)
}

/// The comments of a script, without their `#`.
pub fn comments(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let understood = lex(text, &mut found);
    understood.map(|_| found).unwrap_or_default()
}

fn lex(text: &str, comments: &mut Vec<String>) -> Option<Vec<Token>> {
    let letters: Vec<char> = text.chars().collect();
    let get = |at: usize| letters.get(at).copied();
    let mut tokens = Vec::new();
    let mut heredocs: Vec<(String, bool)> = Vec::new();
    let mut at = 0;
    while let Some(letter) = get(at) {
        if letter == '\\' && get(at + 1) == Some('\n') {
            at += 2;
            continue;
        }
        if matches!(letter, ' ' | '\t' | '\r') {
            at += 1;
            continue;
        }
        if letter == '#' {
            let start = at;
            while get(at).is_some_and(|letter| letter != '\n') {
                at += 1;
            }
            comments.push(letters.get(start..at)?.iter().skip_while(|letter| **letter == '#').collect());
            continue;
        }
        let op = OPS.iter().find(|op| op.chars().enumerate().all(|(index, wanted)| get(at + index) == Some(wanted)));
        if let Some(op) = op {
            at += op.len();
            tokens.push(Token::Op(op));
            if *op == "\n" {
                for (end, tabs) in heredocs.drain(..) {
                    loop {
                        let mut line = String::new();
                        while let Some(letter) = get(at).filter(|letter| *letter != '\n') {
                            line.push(letter);
                            at += 1;
                        }
                        let last = get(at).is_none();
                        at += 1;
                        let line = if tabs { line.trim_start_matches('\t') } else { &line };
                        if line == end || last {
                            break;
                        }
                    }
                }
            }
            continue;
        }
        let (word, quoted, next) = word(&letters, at)?;
        at = next;
        if let Some(Token::Op(op @ ("<<" | "<<-"))) = tokens.last() {
            heredocs.push((word.clone(), *op == "<<-"));
        }
        tokens.push(Token::Word(word, quoted));
    }
    Some(tokens)
}

/// To the end of a bracket, quotes and inner brackets passed over.
fn bracket(letters: &[char], mut at: usize, open: char, close: char) -> Option<usize> {
    let mut depth = 0;
    loop {
        let letter = *letters.get(at)?;
        match letter {
            '\\' => at += 1,
            '\'' => {
                at += 1;
                while *letters.get(at)? != '\'' {
                    at += 1;
                }
            }
            _ if letter == open => depth += 1,
            _ if letter == close => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

fn word(letters: &[char], mut at: usize) -> Option<(String, bool, usize)> {
    let get = |at: usize| letters.get(at).copied();
    let mut out = String::new();
    let mut quoted = false;
    let mut double = false;
    while let Some(letter) = get(at) {
        match letter {
            '"' => {
                double = !double;
                quoted = true;
                at += 1;
            }
            '\'' if !double => {
                quoted = true;
                at += 1;
                while get(at)? != '\'' {
                    out.push(get(at)?);
                    at += 1;
                }
                at += 1;
            }
            '\\' => {
                let next = get(at + 1)?;
                if double && !matches!(next, '$' | '`' | '"' | '\\' | '\n') {
                    out.push('\\');
                }
                if next != '\n' {
                    out.push(next);
                }
                quoted = true;
                at += 2;
            }
            '$' if matches!(get(at + 1), Some('(' | '{')) => {
                let (open, close) = if get(at + 1) == Some('(') { ('(', ')') } else { ('{', '}') };
                let end = bracket(letters, at + 1, open, close)?;
                out.extend(letters.get(at..end)?);
                at = end;
            }
            '`' => {
                let mut end = at + 1;
                while get(end)? != '`' {
                    end += 1;
                }
                out.extend(letters.get(at..=end)?);
                at = end + 1;
            }
            ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' if !double => break,
            _ => {
                out.push(letter);
                at += 1;
            }
        }
    }
    (!double).then_some((out, quoted, at))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn op(&self) -> Option<&'static str> {
        match self.tokens.get(self.at) {
            Some(Token::Op(op)) => Some(op),
            _ => None,
        }
    }

    fn takes(&mut self, op: &str) -> bool {
        let here = self.op() == Some(op);
        self.at += usize::from(here);
        here
    }

    /// A reserved word is one only where it is not quoted.
    fn reserved(&self) -> Option<&str> {
        match self.tokens.get(self.at) {
            Some(Token::Word(word, false)) => Some(word),
            _ => None,
        }
    }

    fn keyword(&mut self, wanted: &str) -> Option<()> {
        let here = self.reserved() == Some(wanted);
        self.at += usize::from(here);
        here.then_some(())
    }

    fn newlines(&mut self) {
        while self.takes("\n") {}
    }

    fn list(&mut self, ends: &[&str]) -> Option<Cmd> {
        self.depth += 1;
        if self.depth > 60 {
            return None;
        }
        let mut all = Vec::new();
        loop {
            while matches!(self.op(), Some("\n" | ";")) {
                self.at += 1;
            }
            let ended = match self.tokens.get(self.at) {
                None | Some(Token::Op(")" | ";;")) => true,
                Some(Token::Word(word, false)) => ends.contains(&word.as_str()),
                _ => false,
            };
            if ended {
                break;
            }
            let one = self.and_or()?;
            let back = self.takes("&");
            all.push(if back { Cmd::Back(Box::new(one)) } else { one });
            let more = back || matches!(self.op(), None | Some("\n" | ";" | ")" | ";;"));
            if !more {
                return None;
            }
        }
        self.depth -= 1;
        Some(Cmd::Seq(all))
    }

    fn and_or(&mut self) -> Option<Cmd> {
        let mut left = self.pipeline()?;
        loop {
            let and = self.op() == Some("&&");
            if !and && self.op() != Some("||") {
                return Some(left);
            }
            self.at += 1;
            self.newlines();
            let right = Box::new(self.pipeline()?);
            left = if and { Cmd::And(Box::new(left), right) } else { Cmd::Or(Box::new(left), right) };
        }
    }

    fn pipeline(&mut self) -> Option<Cmd> {
        if self.keyword("!").is_some() {
            return Some(Cmd::Not(Box::new(self.pipeline_below()?)));
        }
        self.pipeline_below()
    }

    fn pipeline_below(&mut self) -> Option<Cmd> {
        let mut all = vec![self.command()?];
        while self.takes("|") || self.takes("|&") {
            self.newlines();
            all.push(self.command()?);
        }
        if all.len() == 1 { all.pop() } else { Some(Cmd::Pipe(all)) }
    }

    fn command(&mut self) -> Option<Cmd> {
        if self.takes("(") {
            let inner = self.list(&[])?;
            if !self.takes(")") {
                return None;
            }
            self.redirects(&mut Vec::new())?;
            return Some(Cmd::Sub(Box::new(inner)));
        }
        let compound = match self.reserved() {
            Some("{") => {
                self.at += 1;
                let inner = self.list(&["}"])?;
                self.keyword("}")?;
                inner
            }
            Some("if") => {
                self.at += 1;
                self.if_below()?
            }
            Some(word @ ("while" | "until")) => {
                let until = word == "until";
                self.at += 1;
                let cond = Box::new(self.list(&["do"])?);
                Cmd::Loop { until, cond, body: Box::new(self.body()?) }
            }
            Some("for") => {
                self.at += 1;
                if let Some(always) = self.arithmetic() {
                    while matches!(self.op(), Some(";" | "\n")) {
                        self.at += 1;
                    }
                    let body = Box::new(self.body()?);
                    let cond = Box::new(Cmd::Seq(vec![Cmd::Simple(vec![":".to_owned()], Vec::new())]));
                    return Some(if always { Cmd::Loop { until: false, cond, body } } else { Cmd::For(body) });
                }
                while !matches!(self.op(), Some(";" | "\n")) && self.reserved() != Some("do") {
                    self.tokens.get(self.at)?;
                    self.at += 1;
                }
                while matches!(self.op(), Some(";" | "\n")) {
                    self.at += 1;
                }
                Cmd::For(Box::new(self.body()?))
            }
            Some("case") => self.case()?,
            _ => return self.simple(),
        };
        self.redirects(&mut Vec::new())?;
        Some(compound)
    }

    /// `((a; b; c))` behind `for`: passed over, and whether it asks nothing before a round.
    fn arithmetic(&mut self) -> Option<bool> {
        let open = |token: Option<&Token>| matches!(token, Some(Token::Op("(")));
        if !(open(self.tokens.get(self.at)) && open(self.tokens.get(self.at + 1))) {
            return None;
        }
        let (mut depth, mut parts, mut asks) = (0_usize, 0, false);
        loop {
            match self.tokens.get(self.at)? {
                Token::Op("(") => depth += 1,
                Token::Op(")") => depth = depth.checked_sub(1)?,
                Token::Op(";") => parts += 1,
                Token::Op(";;") => parts += 2,
                _ => asks |= parts == 1,
            }
            self.at += 1;
            if depth == 0 {
                return Some(!asks);
            }
        }
    }

    fn if_below(&mut self) -> Option<Cmd> {
        let cond = Box::new(self.list(&["then"])?);
        self.keyword("then")?;
        let then = Box::new(self.list(&["elif", "else", "fi"])?);
        let other = if self.keyword("elif").is_some() {
            return Some(Cmd::If(cond, then, Box::new(self.if_below()?)));
        } else if self.keyword("else").is_some() {
            self.list(&["fi"])?
        } else {
            Cmd::Seq(Vec::new())
        };
        self.keyword("fi")?;
        Some(Cmd::If(cond, then, Box::new(other)))
    }

    fn body(&mut self) -> Option<Cmd> {
        self.keyword("do")?;
        let body = self.list(&["done"])?;
        self.keyword("done")?;
        Some(body)
    }

    fn case(&mut self) -> Option<Cmd> {
        self.at += 2;
        self.newlines();
        self.keyword("in")?;
        let (mut branches, mut total) = (Vec::new(), false);
        loop {
            self.newlines();
            if self.keyword("esac").is_some() {
                return Some(Cmd::Case(branches, total));
            }
            self.takes("(");
            while !self.takes(")") {
                total |= matches!(self.tokens.get(self.at)?, Token::Word(word, false) if word == "*");
                self.at += 1;
            }
            branches.push(self.list(&["esac"])?);
            self.takes(";;");
        }
    }

    /// Redirections; the files that are written to are kept.
    fn redirects(&mut self, files: &mut Vec<Word>) -> Option<()> {
        loop {
            let number = matches!(self.tokens.get(self.at), Some(Token::Word(word, false)) if word.len() == 1 && word.chars().all(|letter| letter.is_ascii_digit()))
                && matches!(self.tokens.get(self.at + 1), Some(Token::Op(op)) if op.starts_with(['<', '>']));
            self.at += usize::from(number);
            let Some(op) = self.op().filter(|op| op.contains(['<', '>'])) else { return Some(()) };
            self.at += 1;
            // `> >(tee log)`, and `<(a)` as a word: what runs there is read by this command, or reads it.
            if matches!(self.op(), Some("<" | ">")) && matches!(self.tokens.get(self.at + 1), Some(Token::Op("("))) {
                self.at += 1;
            }
            if self.takes("(") {
                self.list(&[])?;
                if !self.takes(")") {
                    return None;
                }
                continue;
            }
            let Some(Token::Word(word, _)) = self.tokens.get(self.at) else { return None };
            if matches!(op, ">" | ">>" | ">|" | "&>") {
                files.push(word.clone());
            }
            self.at += 1;
        }
    }

    fn simple(&mut self) -> Option<Cmd> {
        let (mut words, mut files) = (Vec::new(), Vec::new());
        loop {
            self.redirects(&mut files)?;
            let Some(Token::Word(word, _)) = self.tokens.get(self.at) else { break };
            words.push(word.clone());
            self.at += 1;
            if words.len() == 1 && self.op() == Some("(") {
                self.at += 1;
                if !self.takes(")") {
                    return None;
                }
                self.newlines();
                let name = words.pop()?;
                return Some(Cmd::Func(name, Box::new(self.command()?)));
            }
            if words.first().is_some_and(|first| first == "function") && words.len() == 2 {
                if self.takes("(") && !self.takes(")") {
                    return None;
                }
                self.newlines();
                let name = words.pop()?;
                return Some(Cmd::Func(name, Box::new(self.command()?)));
            }
            // `[[ a && b ]]` is one command.
            if words.first().is_some_and(|first| first == "[[") {
                while words.last().is_none_or(|last| last != "]]") {
                    match self.tokens.get(self.at)? {
                        Token::Word(word, _) => words.push(word.clone()),
                        Token::Op(op) => words.push((*op).to_owned()),
                    }
                    self.at += 1;
                }
            }
        }
        (!words.is_empty() || !files.is_empty()).then_some(Cmd::Simple(words, files))
    }
}
