//! A minimal client of RESP 2, for raw commands.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// A response of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Error(String),
    Integer(i64),
    Bytes(Vec<u8>),
    Nil,
    List(Vec<Value>),
}

impl Value {
    /// The elements of a list.
    pub fn into_list(self) -> Vec<Self> {
        match self {
            Self::List(list) => list,
            other => panic!("a list is expected, not {other:?}"),
        }
    }

    /// A string or a status.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Text(text) => text.into_bytes(),
            other => panic!("a string is expected, not {other:?}"),
        }
    }

    /// A number.
    pub fn integer(&self) -> i64 {
        match self {
            Self::Integer(number) => *number,
            other => panic!("a number is expected, not {other:?}"),
        }
    }

    /// A string as text.
    pub fn into_text(self) -> String {
        String::from_utf8(self.into_bytes()).unwrap()
    }
}

/// One connection.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a command and reads its response. An error response is a value.
    pub async fn command<W: AsRef<[u8]>>(&mut self, words: &[W]) -> io::Result<Value> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            let word = word.as_ref();
            bytes.extend(format!("${}\r\n", word.len()).into_bytes());
            bytes.extend_from_slice(word);
            bytes.extend(b"\r\n");
        }
        self.0.write_all(&bytes).await?;
        self.read().await
    }

    /// Sends a command, which must not fail.
    pub async fn ok<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Value {
        let value = super::within("a response of the store", self.command(words)).await.unwrap();
        let name = String::from_utf8_lossy(words[0].as_ref()).into_owned();
        assert!(!matches!(value, Value::Error(_)), "{name}: {value:?}");
        value
    }

    /// Reads the next value: a response, or a line of `MONITOR`.
    pub async fn read(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.0.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        let (kind, rest) = line.split_at(1);
        let number = || rest.parse::<i64>().map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
        Ok(match kind {
            "+" => Value::Text(rest.to_owned()),
            "-" => Value::Error(rest.to_owned()),
            ":" => Value::Integer(number()?),
            "$" => match usize::try_from(number()?) {
                Err(_) => Value::Nil,
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.0.read_exact(&mut bytes).await?;
                    bytes.truncate(length);
                    Value::Bytes(bytes)
                }
            },
            "*" => match usize::try_from(number()?) {
                Err(_) => Value::Nil,
                Ok(length) => {
                    let mut list = Vec::new();
                    for _ in 0..length {
                        list.push(self.nested().await?);
                    }
                    Value::List(list)
                }
            },
            _ => return Err(io::ErrorKind::InvalidData.into()),
        })
    }

    fn nested(&mut self) -> Pin<Box<dyn Future<Output = io::Result<Value>> + Send + '_>> {
        Box::pin(self.read())
    }
}
