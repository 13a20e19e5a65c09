# SPDX-License-Identifier: Apache-2.0
# Completion for sluice(1). The words come from the program itself, so they are always its own.

_sluice_values() {
	case $1 in
	--mode)
		if [[ $2 == bench ]]; then
			echo "handshake resume request download upload echo idle"
		else
			echo "http echo"
		fi
		;;
	--record-path) echo "auto kernel user" ;;
	--client-auth) echo "none optional required" ;;
	--starttls) echo "smtp imap" ;;
	--ocsp-check) echo "off if_present must" ;;
	--role) echo "client server" ;;
	-o | --option)
		sluice options --json 2>/dev/null |
			grep -o '"name":"[^"]*"' | sed 's/.*:"\(.*\)"/\1=/'
		;;
	esac
}

_sluice() {
	local cur prev words cword
	_init_completion -n = || return
	local command=${words[1]}

	if ((cword == 1)); then
		mapfile -t COMPREPLY < <(compgen -W "$(sluice help --words 2>/dev/null) --version" -- "$cur")
		return
	fi
	if [[ $command == bench && $prev == --json ]]; then # a flag of the others
		_filedir
		return
	fi
	case $prev in
	--cert | --key | --cacert | --config | --session-in | --session-out | --output | -O | --chain | --batch | --trust | --ocsp | --html)
		_filedir
		return
		;;
	--root)
		_filedir -d
		return
		;;
	--mode | --record-path | --client-auth | --starttls | --role | --ocsp-check)
		mapfile -t COMPREPLY < <(compgen -W "$(_sluice_values "$prev" "$command")" -- "$cur")
		return
		;;
	-o | --option)
		compopt -o nospace
		mapfile -t COMPREPLY < <(compgen -W "$(_sluice_values "$prev" "$command")" -- "$cur")
		return
		;;
	esac
	if [[ $command == help ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(sluice help --words 2>/dev/null)" -- "$cur")
	elif [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(sluice help --words "$command" 2>/dev/null) --help" -- "$cur")
	fi
}

complete -F _sluice sluice
