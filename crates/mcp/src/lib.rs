//! Protocol messages, names and codecs of the Model Context Protocol.
