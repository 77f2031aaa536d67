# Programs that a person installs with pip come first; /etc/profile has just set PATH anew.
PATH="$HOME/.local/bin:$PATH"
export PATH
