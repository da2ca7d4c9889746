//! Races against purges, and purges that remove too much or too little.
