//! Cedar: schema, entities, decisions.
