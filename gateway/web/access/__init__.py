"""Who may see the page: accounts, logins, and the guard before every route."""
